"""The one criterion of success: what lies inside the ball, and what is left of it in 8 bits."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import balls
from tfrobust.evaluation import pixels as pixels_lib


def pixels(*values):
    """Images of two values each, given on the 0 to 255 scale."""
    return np.array(values, "float32").reshape(-1, 1, 2, 1) / np.float32(255)


def test_rounding_goes_to_the_nearest_grid_value():
    rounded = pixels_lib.round_to_uint8(pixels([10.4, 200.6]), pixels([10, 200]))
    np.testing.assert_allclose(rounded, pixels([10, 201]), atol=1e-7)


@pytest.mark.parametrize("ball", [balls.Linf(8 / 255), balls.L2(8 / 255), balls.Linf(7.6 / 255)])
def test_rounding_stays_in_the_ball_and_never_below_what_fits(ball):
    generator = np.random.default_rng(0)
    clean = pixels(*generator.integers(20, 235, (500, 2)))
    delta = ball.project(tf.constant(generator.normal(size=clean.shape).astype("float32"))).numpy()
    rounded = pixels_lib.round_to_uint8(clean + delta, clean, ball)
    np.testing.assert_allclose(rounded * 255, np.round(rounded * 255), atol=1e-4)
    assert pixels_lib.in_ball(rounded - clean, ball).all()
    assert np.abs(rounded - clean - delta).max() < 1 / 255 + 1e-6


def test_the_whole_radius_survives_rounding():
    """8/255 up or down is on the grid; truncation would lose a level of some."""
    clean = pixels(*[[value, value] for value in range(8, 248)])
    for sign in (1, -1):
        adversarial = clean + np.float32(sign * 8 / 255)
        rounded = pixels_lib.round_to_uint8(adversarial, clean, balls.Linf(8 / 255))
        np.testing.assert_array_equal(np.round((rounded - clean) * 255), np.full(clean.shape, sign * 8))


@pytest.mark.parametrize("ball", [balls.Linf(0.1), balls.L2(0.1)])
def test_the_surface_is_inside_and_a_little_more_is_not(ball):
    clean = classifiers.random_images(50)
    direction = ball.steepest(tf.constant(classifiers.random_images(50, seed=1) - 0.5)).numpy()
    assert pixels_lib.in_ball((clean + 0.1 * direction) - clean, ball).all()
    assert not pixels_lib.in_ball((clean + 0.10003 * direction) - clean, ball).any()


def test_what_is_infinite_or_outside_of_0_and_1_or_the_ball_is_not_valid():
    clean = np.full([5, 1, 2, 1], 0.95, "float32")
    delta = np.array([0.04, 0.06, -0.11, np.nan, -np.inf], "float32").reshape(5, 1, 1, 1)
    found = pixels_lib.is_valid(clean + delta, clean, balls.Linf(0.1))
    np.testing.assert_array_equal(found, [True, False, False, False, False])
    np.testing.assert_array_equal(pixels_lib.is_valid(clean + delta, clean, None), [True, False, True, False, False])
