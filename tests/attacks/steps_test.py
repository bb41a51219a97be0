"""How a gradient becomes a step, against hand-computed directions."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import attacks, balls, objectives
from tfrobust.attacks import steps
from tfrobust.errors import InputError

GRADIENTS = np.array([[3.0, -4.0], [0.0, 2.0]], "float32").reshape(2, 1, 1, 2, 1)


def directions(optimizer, norm, gradients=GRADIENTS):
    """Those of one step after the other."""
    state, found = optimizer.start(tf.zeros(gradients.shape[1:])), []
    for count, gradient in enumerate(gradients):
        direction, state = optimizer.direction(norm, count, tf.constant(gradient), state)
        found.append(direction.numpy().ravel())
    return found


@pytest.mark.parametrize("norm, expected", [(balls.Linf, [[1, -1], [0, 1]]), (balls.L2, [[0.6, -0.8], [0, 1]])])
def test_steepest_is_the_norms(norm, expected):
    np.testing.assert_allclose(directions(steps.Steepest(), norm), expected, rtol=1e-6)


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
def test_momentum_sums_gradients_of_l1_norm_one(decay):
    """(3, -4) / 7, then decay times that and (0, 1)."""
    second = decay * np.array([3.0, -4.0]) / 7 + [0.0, 1.0]
    found = directions(steps.Momentum(decay), balls.L2)
    np.testing.assert_allclose(found, [[0.6, -0.8], second / np.linalg.norm(second)], rtol=1e-6)
    np.testing.assert_array_equal(directions(steps.Momentum(decay), balls.Linf)[1], np.sign(second))


def test_adam_is_algorithm_1_of_the_paper():
    """The first step is the gradient's sign, whatever its size; the second is worked out here."""
    first, second = directions(steps.Adam(first_moment=0.9, second_moment=0.99, epsilon=1e-8), balls.L2)
    np.testing.assert_allclose(first, [1, -1], rtol=1e-6)
    mean = (0.9 * 0.1 * np.array([3.0, -4.0]) + 0.1 * np.array([0.0, 2.0])) / (1 - 0.9**2)
    square = (0.99 * 0.01 * np.array([9.0, 16.0]) + 0.01 * np.array([0.0, 4.0])) / (1 - 0.99**2)
    np.testing.assert_allclose(second, mean / np.sqrt(square), rtol=1e-5)


@pytest.mark.parametrize("optimizer", [steps.Steepest(), steps.Momentum(), steps.Adam()])
def test_no_gradient_gives_no_direction_and_no_nan(optimizer):
    np.testing.assert_array_equal(directions(optimizer, balls.L2, 0 * GRADIENTS), np.zeros([2, 2]))


def test_pgd_follows_its_optimizer():
    """Where the gradient is constant, Adam steps along its sign in l2 as well."""
    weights = tf.constant([3.0, -4.0], shape=[1, 1, 2, 1])

    def logits_fn(images):
        score = tf.reduce_sum(images * weights, axis=[1, 2, 3]) + 5.0
        return tf.stack([score, tf.zeros_like(score)], axis=1)

    settings = {"random_start": False, "objective": objectives.margin, "optimizer": steps.Adam()}
    attack = attacks.PGD(balls.L2(1.0), steps=3, step_size=0.1, **settings)
    adversarial = attack(logits_fn, tf.fill([1, 1, 2, 1], 0.5), [0], seed=0)
    np.testing.assert_allclose(tf.reshape(adversarial, [-1]), [0.2, 0.8], atol=1e-5)


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda: steps.Momentum(-0.1), "momentum: decay must be a number of at least 0"),
        (lambda: steps.Adam(first_moment=1.0), "adam: first_moment must be above 0 and below 1"),
        (lambda: steps.Adam(epsilon=0), "adam: epsilon must be a positive number"),
        (lambda: attacks.mi_fgsm(balls.Linf(0.1), momentum="a"), "momentum: decay"),
    ],
)
def test_senseless_settings_are_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()
