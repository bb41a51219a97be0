"""Metrics against hand-computed numbers."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers, shared
from tfrobust import layers
from tfrobust.evaluation import metrics

WEIGHTS = np.array([3.0, -4.0], "float32").reshape(1, 2, 1)
LOGITS = classifiers.two_class_linear(WEIGHTS)


def pixels(*values):
    """Images of two values each, given on the 0 to 255 scale."""
    return np.array(values, "float32").reshape(-1, 1, 2, 1) / np.float32(255)


def test_accuracy():
    assert metrics.accuracy([1, 2, 3, 4], [1, 2, 0, 0]) == 0.5


def test_wilson_interval_of_a_known_example():
    low, high = metrics.wilson_interval(0.1, 100)
    assert (round(low, 4), round(high, 4)) == (0.0552, 0.1744)
    assert metrics.wilson_interval(0.0, 50)[0] == 0


def test_rho_2_of_a_linear_model_is_its_closed_form():
    images, origin = pixels([204, 51], [51, 204]), 0.1  # f = 1.6 and -2.6
    rho_2, l2 = metrics.deepfool_rho_2(LOGITS, images, np.array([0, 0]), origin=origin)
    np.testing.assert_allclose(l2, [1.02 * 1.6 / 5, 1.02 * 2.6 / 5], rtol=1e-2)  # the second is misclassified
    np.testing.assert_allclose(rho_2, l2 / np.linalg.norm((images - origin).reshape(2, -1), axis=1), rtol=1e-5)


def test_rho_2_of_a_wrong_prediction_leads_to_the_nearest_class_which_need_not_be_the_label():
    """Logits 0, a - 0.5 and b - 0.9: from class 1 it is 0.1 to class 0, and 0.8 / sqrt(2) to class 2, the label."""

    def three_classes(images):
        flat = tf.reshape(images, [-1, 2])
        return tf.stack([tf.zeros_like(flat[:, 0]), flat[:, 0] - 0.5, flat[:, 1] - 0.9], axis=1)

    images = np.array([0.6, 0.2], "float32").reshape(1, 1, 2, 1)
    for label in (0, 1, 2):
        l2 = metrics.deepfool_rho_2(three_classes, images, np.array([label]))[1]
        np.testing.assert_allclose(l2, [1.02 * 0.1], rtol=1e-2)


def test_rho_inf_is_measured_where_half_are_fooled():
    """f = 0.7, 1.4, 2.1 and 2.8 are fooled from the radii 0.1, 0.2, 0.3 and 0.4 on: half of them at 0.2."""
    images = np.array([[0.7 / 3, 0], [1.4 / 3, 0], [0.7, 0], [2.8 / 3, 0]], "float32").reshape(4, 1, 2, 1)
    rho_inf, radius = metrics.fgsm_rho_inf(LOGITS, images, np.zeros(4, "int64"))
    assert radius == pytest.approx(0.2, abs=2e-4)
    assert rho_inf == pytest.approx(np.mean(radius / images.max(axis=(1, 2, 3))), rel=1e-5)


def test_the_accuracy_at_shares_of_a_reference_radius_is_that_of_fgsm_without_clipping():
    """Fooled from the radii 0.1, 0.2, 0.3 and 0.4 on, in all of which a pixel ends outside of [0, 1]."""
    images = np.array([[0.7 / 3, 0], [1.4 / 3, 0], [0.7, 0], [2.8 / 3, 0]], "float32").reshape(4, 1, 2, 1)
    found = metrics.fgsm_accuracies(LOGITS, images, np.zeros(4, "int64"), [0.05, 0.15, 0.25, 0.35, 0.45])
    assert found == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_rho_inf_of_what_cannot_be_fooled_is_infinite():
    def constant(images):
        return tf.zeros([tf.shape(images)[0], 2]) + [1.0, 0.0] + 0.0 * tf.reduce_sum(images)

    assert metrics.fgsm_rho_inf(constant, pixels([1, 2]), np.array([0])) == (math.inf, math.inf)


@shared.needs_golden
def test_reference_lenet_on_the_first_hundred_images():
    expected = shared.golden("deepfool_lenet_mnist")
    network = shared.reference_lenet()
    rho_2, l2 = metrics.deepfool_rho_2(
        lambda x: network(x, training=False), expected["images"], expected["labels"], origin=layers.origin(network)
    )
    np.testing.assert_allclose(rho_2, expected["rho_2"], rtol=1e-3)
    np.testing.assert_allclose(255 * l2, expected["l2_0_255"], rtol=1e-3)
