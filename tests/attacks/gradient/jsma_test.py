"""JSMA: the best pair against brute force, and steps with known answers."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import attacks
from tfrobust.attacks.gradient import jsma
from tfrobust.errors import InputError


def brute_force(rise, fall, free):
    """The largest product among the pairs of free values whose sums are positive, or 0."""
    pairs = itertools.combinations(np.flatnonzero(free), 2)
    sums = [(rise[p] + rise[q], fall[p] + fall[q]) for p, q in pairs]
    return max([one * other for one, other in sums if one > 0 and other > 0], default=0.0)


@pytest.mark.parametrize("relation", [-1.0, -0.3, 0.0, 1.0])
@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("decimals", [0, 7])  # the first makes many equal ones
@pytest.mark.parametrize("compiled", [False, True])
def test_the_best_pair_is_that_of_the_whole_matrix(relation, noise, decimals, compiled):
    generator = np.random.default_rng(0)
    rise = np.round(generator.normal(size=(20, 60)), decimals).astype("float32")
    fall = np.round(relation * rise + noise * generator.normal(size=rise.shape) + 0.5, decimals).astype("float32")
    free = generator.random(rise.shape) < np.linspace(0, 1, 20)[:, None]
    function = tf.function(jsma.best_pair) if compiled else jsma.best_pair
    pair, found = (part.numpy() for part in function(rise, fall, free))
    for index in range(20):
        expected = brute_force(rise[index], fall[index], free[index])
        assert found[index] == (expected > 0)
        if found[index]:
            first, second = pair[index]
            assert first != second and free[index, first] and free[index, second]
            worth = (rise[index, first] + rise[index, second]) * (fall[index, first] + fall[index, second])
            np.testing.assert_allclose(worth, expected, rtol=1e-6)


def linear(weights):
    """Logits <weights_k, image>."""
    return lambda images: tf.reshape(images, [len(images), -1]) @ tf.constant(weights, tf.float32)


def test_the_pair_needs_both_the_goal_and_the_others():
    """The first value raises the goal most, but the others as well; the last two are worth (2 + 2) * (3 + 3)."""
    weights = np.array([[4, 5], [0, 1], [-3, 2], [-3, 2]])
    images = tf.fill([1, 2, 2, 1], 0.4)

    def logits_fn(x):
        return linear(weights)(x) + tf.constant([6.0, 0.0])

    adversarial = attacks.JSMA(theta=0.5, gamma=1.0)(logits_fn, images, [0], seed=0)
    np.testing.assert_allclose(tf.reshape(adversarial, [-1]), [0.4, 0.4, 0.9, 0.9], rtol=1e-6)


@pytest.mark.parametrize("theta, wanted", [(1.0, 1.0), (-1.0, 0.0)])
def test_values_go_to_their_limit(theta, wanted):
    """Two values lower the label's logit and raise the other by 0.5 each, which makes up for a lead of 1.5."""
    weights = np.sign(theta) * np.array([[-1, 1], [-1, 1], [0, 0], [0, 0]])
    images = tf.fill([1, 2, 2, 1], 0.5)
    at_images = linear(weights)(images)

    def logits_fn(x):
        return linear(weights)(x) - at_images + tf.constant([1.5, 0.0])

    adversarial = attacks.JSMA(theta=theta, gamma=1.0)(logits_fn, images, [0], seed=0)
    np.testing.assert_allclose(tf.reshape(adversarial, [-1]), [wanted, wanted, 0.5, 0.5])


@pytest.mark.parametrize("theta", [1.0, 0.25])
def test_gamma_bounds_the_changed_values(theta):
    network = classifiers.smooth_network()
    images = classifiers.random_images(8)
    labels = np.argmax(network(images), axis=1)
    few = attacks.JSMA(theta=theta, gamma=4 / 90)(network, images, labels, seed=0).numpy()
    changed = (few != images).sum(axis=(1, 2, 3))
    assert changed.max() <= 4
    many = attacks.JSMA(theta=theta, gamma=1.0)(network, images, labels, seed=0).numpy()
    broken = np.argmax(network(many), axis=1) != labels
    assert broken.sum() > (np.argmax(network(few), axis=1) != labels).sum() or broken.all()


def test_targeted_goes_to_its_goal_or_back():
    network = classifiers.smooth_network()
    images = classifiers.random_images(8)
    goals = (np.argmax(network(images), axis=1) + 1) % 4
    adversarial = attacks.JSMA(gamma=1.0, targeted=True)(network, images, goals, seed=0).numpy()
    there = np.argmax(network(adversarial), axis=1) == goals
    assert there.sum() >= 4
    np.testing.assert_array_equal(adversarial[~there], images[~there])


@pytest.mark.parametrize("arguments", [{"theta": 0}, {"theta": 2}, {"gamma": 0}, {"gamma": 1.1}])
def test_senseless_settings_are_refused(arguments):
    with pytest.raises(InputError, match="jsma"):
        attacks.JSMA(**arguments)
