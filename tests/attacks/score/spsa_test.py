"""SPSA on linear models, whose gradient and whose best perturbation are known."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import attacks, balls
from tfrobust.attacks.problem import Problem
from tfrobust.errors import InputError

WEIGHTS = np.array([[3.0, -4.0], [1.0, -2.0]], "float32")[..., None]
IMAGES = np.full([2, 2, 2, 1], 0.5, "float32")


LOGITS = classifiers.two_class_linear(WEIGHTS, 10.0)


def test_the_mean_estimate_is_the_gradient():
    """E[<w, v> v] = w; the deviation of one value over n draws is sqrt(sum of the others' squares / n)."""
    attack = attacks.SPSA(balls.Linf(1), samples=4000)
    keys, batch = tf.constant([[0, 1], [0, 2]]), tf.constant(2000)
    problem = Problem(classifiers.two_class_linear(WEIGHTS), IMAGES, [1, 1], keys=keys, batch=batch)
    gradient = attack._gradient(problem, tf.constant(IMAGES), 0)
    np.testing.assert_allclose(gradient, np.stack([WEIGHTS] * 2), atol=5 * np.sqrt(30 / 4000))
    assert not np.allclose(gradient[0], gradient[1], rtol=1e-6)  # each example has its own draws


@pytest.mark.parametrize(
    "ball, expected", [(balls.Linf(0.1), -0.1 * np.sign(WEIGHTS)), (balls.L2(0.2), -0.2 * WEIGHTS / np.sqrt(30))]
)
def test_ends_at_the_best_perturbation_of_a_linear_model(ball, expected):
    labels = np.zeros(2, "int32")
    attack = attacks.SPSA(ball, steps=30, samples=32, learning_rate=0.02)
    delta = (tf.function(attack, autograph=False)(LOGITS, IMAGES, labels, seed=0) - IMAGES).numpy()
    gain = -(delta * WEIGHTS).sum(axis=(1, 2, 3)) / -(expected * WEIGHTS).sum()
    assert (gain > 0.9).all() and (gain < 1 + 1e-5).all()


def test_points_are_inside_the_box_and_the_estimate_is_by_how_far_they_are_apart():
    """At black and white one of two points is cut: the difference is over half the way, of the same gradient."""
    asked = []

    def logits_fn(images):
        asked.append(images.numpy())
        return classifiers.two_class_linear(WEIGHTS)(images)

    images = np.array([[0.0, 1.0], [0.995, 0.5]], "float32").reshape(1, 2, 2, 1)
    problem = Problem(logits_fn, images, [1], keys=tf.constant([[0, 1]]), batch=tf.constant(2000))
    gradient = attacks.SPSA(balls.Linf(1), samples=4000)._gradient(problem, tf.constant(images), 0)
    assert np.min(asked[0]) >= 0 and np.max(asked[0]) <= 1
    np.testing.assert_allclose(gradient[0], WEIGHTS, atol=0.5)


def test_returns_the_iterate_of_the_largest_margin():
    """Too large steps around the best point, 0.52: the last iterate is worse than one before."""
    margins = []

    def logits_fn(images):
        score = -1.0 - 100.0 * tf.reduce_sum(tf.square(images - 0.52), axis=[1, 2, 3])
        if len(images) == 1:  # an iterate; a gradient's points come by twos
            margins.append(float(score[0]))
        return tf.stack([tf.zeros_like(score), score], axis=1)

    attack = attacks.SPSA(balls.Linf(0.5), steps=7, samples=1, learning_rate=0.1)
    problem = Problem(logits_fn, IMAGES[:1], [0], keys=tf.constant([[0, 0]]))
    found = float(problem.margin(attack.solve(problem))[0])
    iterates = margins[3:-1:3]  # the clean image; above, below and the iterate of each step; what was found
    assert len(iterates) == 7 and found == pytest.approx(max(iterates)) and found > iterates[-1]


def test_the_estimate_moves_no_pixel_that_may_not_change():
    mask = np.array([[True, False], [False, False]])
    attack = attacks.Restricted(attacks.SPSA(balls.L2(0.2), steps=4, samples=16, learning_rate=0.1), mask)
    delta = (attack(LOGITS, IMAGES, np.zeros(2, "int32"), seed=0) - IMAGES).numpy()
    np.testing.assert_allclose(delta[:, 0, 0, 0], -0.2, rtol=1e-5)


def test_broken_examples_are_not_worked_on():
    shown = []

    def logits_fn(images):
        shown.append(len(images))
        return classifiers.two_class_linear(WEIGHTS, 0.02)(images)  # f = -0.98 for the images, 0.02 for black

    images = np.concatenate([np.zeros_like(IMAGES[:1]), IMAGES[:1]])
    attacks.SPSA(balls.Linf(0.05), steps=2, samples=4)(logits_fn, images, np.array([0, 1]), seed=0)
    assert shown[0] == 2 and shown[-1] < 2


@pytest.mark.parametrize(
    "arguments", [{"ball": balls.L1(1)}, {"steps": 0}, {"samples": 0.5}, {"learning_rate": 0}, {"delta": -1}]
)
def test_senseless_settings_are_refused(arguments):
    with pytest.raises(InputError, match="spsa"):
        attacks.SPSA(**{"ball": balls.Linf(0.1), **arguments})
