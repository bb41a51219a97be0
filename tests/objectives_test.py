"""Objectives against hand-computed numbers."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import objectives
from tfrobust.attacks import Problem
from tfrobust.errors import InputError

LOGITS = tf.constant([[1.0, 3.0, 2.0], [0.0, 0.0, 0.0]])
LABELS = tf.constant([1, 2])


def test_cross_entropy_is_minus_log_softmax():
    np.testing.assert_allclose(
        objectives.cross_entropy(LOGITS, LABELS), [np.log(1 + np.exp(-1) + np.exp(-2)), np.log(3)], rtol=1e-6
    )


def test_log_odds_orders_what_cross_entropy_calls_zero():
    logits = tf.constant([[30.0, 0.0, 0.0], [31.0, 0.0, 0.0], [1.0, 3.0, 2.0]])
    labels = tf.constant([0, 0, 1])
    np.testing.assert_array_equal(objectives.cross_entropy(logits, labels)[:2], [0, 0])
    odds = (np.exp(1) + np.exp(2)) / np.exp(3)
    np.testing.assert_allclose(
        objectives.log_odds(logits, labels), [np.log(2) - 30, np.log(2) - 31, np.log(odds)], rtol=1e-6
    )


def test_margin_is_best_wrong_logit_minus_label():
    np.testing.assert_allclose(objectives.margin(LOGITS, LABELS), [-1, 0])


def test_dlr_does_not_change_with_shift_or_scale_of_the_logits():
    value = objectives.dlr(LOGITS[:1], LABELS[:1])
    np.testing.assert_allclose(value, [-0.5], rtol=1e-6)
    np.testing.assert_allclose(objectives.dlr(7 * LOGITS[:1] - 4, LABELS[:1]), value, rtol=1e-6)


def test_dlr_of_two_classes_is_refused():
    with pytest.raises(InputError, match="three classes"):
        objectives.dlr(LOGITS[:, :2], LABELS)


@pytest.mark.parametrize("objective", [objectives.cross_entropy, objectives.margin, objectives.dlr])
def test_gradient_of_one_example_does_not_depend_on_the_batch(objective):
    images = tf.random.stateless_uniform([4, 2, 2, 1], [0, 1])
    matrix = tf.random.stateless_normal([4, 3], [2, 3])
    labels = tf.constant([0, 1, 2, 0])

    def logits_fn(x):
        return tf.reshape(x, [-1, 4]) @ matrix

    _, together = Problem(logits_fn, images, labels).value_and_gradient(objective, images)
    _, alone = Problem(logits_fn, images[2:3], labels[2:3]).value_and_gradient(objective, images[2:3])
    np.testing.assert_allclose(together[2], alone[0], rtol=1e-5)
