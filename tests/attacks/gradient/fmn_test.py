"""FMN against closed forms, and its distances beside those of Foolbox's attacks."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers, shared
from tfrobust import attacks, balls

WEIGHTS = np.array([3.0, -4.0], "float32").reshape(1, 2, 1)
IMAGES = tf.constant([[[[0.9], [0.3]]], [[[0.5], [0.3]]]])  # f = 1.5 and 0.3
LOGITS = classifiers.two_class_linear(WEIGHTS)
LABELS = tf.constant([0, 0])


@pytest.mark.parametrize("norm, dual", [(balls.L2, 5), (balls.Linf, 7), (balls.L1, 4)])
def test_linear_boundary_is_f_over_the_dual_norm_away(norm, dual):
    adversarial = attacks.FMN(norm, steps=60)(LOGITS, IMAGES, LABELS, seed=0)
    np.testing.assert_allclose(norm.size(adversarial - IMAGES), [1.5 / dual, 0.3 / dual], rtol=0.02)
    assert (tf.argmax(LOGITS(adversarial), axis=1) == 1).numpy().all()


def test_in_l0_no_more_pixels_change_than_have_to():
    """A score of 9.7 falls by up to 4, 3, 3, 2 and less as pixels turn black: three pixels do."""
    weights = np.array([4.0, 3.0, 3.0, 2.0, 1.0, 0.5, 0.5, 0.2], "float32").reshape(2, 4, 1)
    logits_fn = classifiers.two_class_linear(weights, bias=-4.5)
    adversarial = attacks.FMN(balls.L0, steps=60)(logits_fn, tf.ones([1, 2, 4, 1]), tf.constant([0]), seed=0)
    assert balls.L0.size(adversarial - 1.0).numpy() == [3]
    assert logits_fn(adversarial)[0, 0] < 0


def test_the_boundary_is_crossed_where_the_network_bends_away_from_it():
    """Each linearized boundary is nearer than the boundary, so that a radius that ends right at it only comes near."""

    def logits_fn(images):
        score = tf.sqrt(tf.maximum(tf.reduce_sum(images, axis=[1, 2, 3]), 1e-6)) - 0.5
        return tf.stack([score, tf.zeros_like(score)], axis=1)

    images = tf.fill([1, 2, 2, 1], 0.5)
    adversarial = attacks.FMN(balls.L2, steps=30)(logits_fn, images, tf.constant([0]), seed=0)
    assert logits_fn(adversarial)[0, 0] < 0
    np.testing.assert_allclose(balls.L2.size(adversarial - images), [1.75 / 2], rtol=0.02)


@shared.needs_golden
@pytest.mark.parametrize(
    "norm, peer, share",
    [(balls.L2, "ddn:l2", 1.02), (balls.Linf, "linf_fmn:linf", 1.01), (balls.L1, "l1_fmn:l1", 0.95)],
)
def test_distances_beside_those_of_foolbox(norm, peer, share):
    """Medians of 100 images. Foolbox' FMN never projects in l2, so its DDN is what to compare with."""
    reference, golden = shared.golden("minimal_norm_lenet_mnist"), shared.golden("deepfool_lenet_mnist")
    images, labels = golden["images"], golden["labels"]
    network = shared.reference_lenet()
    adversarial = tf.function(attacks.FMN(norm), autograph=False)(network, images, labels, seed=0).numpy()
    assert (network(adversarial).numpy().argmax(axis=1) != labels).all()
    assert np.median(norm.size(adversarial - images)) <= share * np.median(reference[peer])
