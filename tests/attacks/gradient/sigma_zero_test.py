"""Sigma-zero against a closed form, its schedule and other attacks in l0."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import shared
from tfrobust import attacks, balls
from tfrobust.attacks.gradient import sigma_zero
from tfrobust.errors import InputError


def five_pixels(images):
    """Class 1 wins where twice the first pixel and the others together are above 2.5; the channels of a pixel count alike."""
    value = tf.reduce_sum(images * tf.reshape([2.0, 1.0, 0.9, 0.8, 0.7], [1, 1, 5, 1]), axis=[1, 2, 3]) - 2.5
    return tf.stack([-value, value], axis=1)


@pytest.mark.parametrize("channels, fewest", [(1, 2), (2, 1)])
def test_it_finds_the_fewest_pixels_whatever_their_channels(channels, fewest):
    """In gray the first pixel and another one give 3; in two colors the first alone gives 4."""
    images = tf.zeros([2, 1, 5, channels])
    found = attacks.SigmaZero(steps=100)(five_pixels, images, tf.constant([0, 0]), seed=0)
    np.testing.assert_array_equal(tf.argmax(five_pixels(found), axis=1), [1, 1])
    np.testing.assert_array_equal(balls.L0.size(found - images), [fewest] * 2)


def test_the_threshold_rises_while_an_image_is_broken_and_falls_while_it_is_not():
    """Seen from what goes back: small changes stay where the threshold has fallen below them."""
    asked = []

    def logits_fn(images):
        asked.append(images.numpy().ravel())
        value = tf.reduce_sum(images, axis=[1, 2, 3]) - 10.0  # out of reach
        return tf.stack([-value, value], axis=1)

    attack = attacks.SigmaZero(steps=30, learning_rate=0.1, threshold=0.12, threshold_rate=0.05)
    attack(logits_fn, tf.fill([1, 1, 2, 1], 0.5), [0], seed=0)
    # Adam's first steps are 0.1 long, which is below the threshold of 0.12 less 0.005 a step: the fifth step stays.
    changes = np.abs(np.array(asked[1:]) - 0.5).max(axis=1)
    assert changes[:4].max() == 0.0 and changes[6] > 0.0


def test_steps_fall_to_a_tenth():
    assert float(sigma_zero.half_cosine(0, 100, sigma_zero._LAST)) == 1.0
    assert float(sigma_zero.half_cosine(100, 100, sigma_zero._LAST)) == pytest.approx(0.1)


@shared.needs_golden
def test_it_finds_fewer_pixels_than_fmn():
    golden, network = shared.golden("deepfool_lenet_mnist"), shared.reference_lenet()
    images, labels = golden["images"][:40], golden["labels"][:40]

    def sizes(attack):
        adversarial = tf.function(attack, autograph=False)(network, images, labels, seed=0).numpy()
        assert (network(adversarial).numpy().argmax(axis=1) != labels).all()
        return balls.L0.size(adversarial - images).numpy()

    assert sizes(attacks.SigmaZero(steps=300)).mean() < sizes(attacks.FMN(balls.L0, steps=300)).mean()


@shared.needs_golden
def test_pruning_leaves_out_pixels_of_what_the_steps_found():
    golden, network = shared.golden("deepfool_lenet_mnist"), shared.reference_lenet()
    images, labels = golden["images"][:40], golden["labels"][:40]

    def sizes(**settings):
        attack = attacks.SigmaZero(**settings)
        adversarial = tf.function(attack, autograph=False)(network, images, labels, seed=0).numpy()
        assert (network(adversarial).numpy().argmax(axis=1) != labels).all()
        assert adversarial.min() >= 0.0 and adversarial.max() <= 1.0
        return balls.L0.size(adversarial - images).numpy()

    before, pruned = sizes(steps=100), sizes(steps=100, pruning=100)
    assert (pruned <= before).all()
    assert pruned.sum() < before.sum() - 5


@pytest.mark.parametrize("pruning", [1, 5, 12])
def test_pruning_asks_for_as_many_gradients_as_it_says(pruning):
    asked = []

    def logits_fn(images):
        asked.append(images)
        return five_pixels(images)

    def calls(**settings):
        asked.clear()
        attacks.SigmaZero(steps=20, **settings)(logits_fn, tf.zeros([1, 1, 5, 1]), [0], seed=0)
        return len(asked)

    assert calls(pruning=pruning) - calls() == pruning


def test_each_pixel_is_left_out_once_the_least_changed_first_then_pairs_and_another_one_joins():
    change = tf.constant([[[0.0, 0.3, 0.1, 0.9]]])

    def stays_and_joins(tried):
        kept, joins = sigma_zero._left_out(change, tf.constant([tried]))
        return np.flatnonzero(kept).tolist(), int(joins[0])

    alone = [([1, 3], -1), ([2, 3], -1), ([1, 2], -1)]
    assert [stays_and_joins(tried) for tried in range(3)] == alone
    pairs = [([3], 0), ([2], 0), ([1], 0)]
    assert sorted(stays_and_joins(tried) for tried in range(3, 6)) == sorted(pairs)
    assert [stays_and_joins(tried)[1] for tried in range(6, 12)] == [1] * 3 + [2] * 3


def test_an_image_that_cannot_be_broken_is_not_changed_by_pruning():
    images = tf.fill([1, 1, 5, 1], 0.5)
    found = attacks.SigmaZero(steps=5, pruning=12)(lambda x: five_pixels(0.1 * x), images, [0], seed=0)
    np.testing.assert_array_equal(found, images)


@pytest.mark.parametrize(
    "arguments", [{"norm": balls.L1}, {"steps": 0}, {"sigma": 0.0}, {"threshold": 1.5}, {"pruning": -1}]
)
def test_senseless_settings_are_refused(arguments):
    with pytest.raises(InputError, match=f"sigma_zero: {next(iter(arguments))} must be"):
        attacks.SigmaZero(**arguments)
