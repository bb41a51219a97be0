"""Images as a file holds them: on the 8-bit grid, inside the ball, and as near to what was asked for as that allows."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import balls
from tfrobust.attacks import grid
from tfrobust.evaluation import pixels

LEVELS = (np.arange(256) / 255.0).astype("float32")
DRAWS = np.random.default_rng(0)
IMAGES = LEVELS[DRAWS.integers(0, 256, [12, 16, 15, 3])]
BALLS = [balls.Linf(radius) for radius in (0.0, 0.5 / 255, 1.5 / 255, 8 / 255, 0.1, 0.3, 1.0)]
BALLS += [balls.L2(radius) for radius in (0.0, 0.01, 0.5, 3.0, 30.0)] + [balls.L1(3.0)]


@pytest.mark.parametrize("wrap", [lambda f: f, lambda f: tf.function(f, autograph=False)], ids=["eager", "graph"])
def test_nearest_is_exact_for_all_levels(wrap):
    near = wrap(grid.nearest)(tf.constant(np.stack([LEVELS, LEVELS - 0.4 / 255, LEVELS + 0.4 / 255])))
    np.testing.assert_array_equal(near, [LEVELS] * 3)
    np.testing.assert_array_equal(grid.nearest(tf.constant([np.nan, np.inf, -np.inf])), [0.0, 1.0, 0.0])


def asked(ball):
    """What attacks ask about: inside the ball, half of it on the surface, and in [0, 1]."""
    far = DRAWS.normal(size=IMAGES.shape) * np.repeat([0.001, 0.01, 0.1, 1.0], 3)[:, None, None, None]
    return np.clip(IMAGES + ball.project(tf.constant(far, tf.float32)).numpy(), 0, 1)


@pytest.mark.parametrize("ball", BALLS, ids=str)
def test_shown_is_on_the_grid_and_in_the_ball_and_the_judge_leaves_it(ball):
    x = asked(ball)
    shown = grid.shown(x, IMAGES, ball).numpy()
    assert np.isin(shown, LEVELS).all()
    assert pixels.in_ball(shown - IMAGES, ball).all() and ball.contains(shown - IMAGES).numpy().all()
    np.testing.assert_array_equal(pixels.round_to_uint8(shown, IMAGES, ball), shown)
    near = grid.nearest(x).numpy()
    inside = pixels.in_ball(near - IMAGES, ball)
    np.testing.assert_array_equal(shown[inside], near[inside])
    assert np.abs(shown - x).max() < 2 / 255


def test_rounding_costs_little_of_an_l2_ball():
    """Cutting every change toward the clean image would cost a fifth of it."""
    ball, images = balls.L2(0.5), LEVELS[DRAWS.integers(60, 190, [5, 32, 32, 3])]
    delta = balls.L2.steepest(DRAWS.normal(size=images.shape).astype("float32")) * 0.5
    size = ball.size(grid.shown(images + delta, images, ball) - images)
    assert (size > 0.49).numpy().all() and (size <= 0.5).numpy().all()


def test_what_is_not_changed_stays_and_nan_is_the_clean_value():
    images = np.full([1, 2, 2, 1], 0.5, "float32")  # between 127 and 128
    x = images.copy()
    x[0, 0] = [[100.4 / 255], [np.nan]]
    np.testing.assert_array_equal(grid.shown(x, images).numpy().ravel(), [LEVELS[100], 0.5, 0.5, 0.5])
    infinite = grid.shown(images * np.inf, IMAGES[:1, :2, :2, :1], balls.Linf(0.1)).numpy()
    assert np.isin(infinite, LEVELS).all() and pixels.in_ball(infinite - IMAGES[:1, :2, :2, :1], balls.Linf(0.1)).all()


def test_the_gradient_goes_straight_through():
    x = tf.constant(asked(balls.L2(0.5)))
    with tf.GradientTape() as tape:
        tape.watch(x)
        shown = grid.shown(x, IMAGES, balls.L2(0.5))
    np.testing.assert_array_equal(tape.gradient(shown, x, output_gradients=IMAGES), IMAGES)
