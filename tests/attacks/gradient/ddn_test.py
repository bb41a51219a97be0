"""DDN against a closed form, its schedule and the distances of Foolbox's."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers, shared
from tfrobust import attacks, balls

WEIGHTS = np.array([3.0, -4.0], "float32").reshape(1, 2, 1)
IMAGES = tf.constant([[[[0.9], [0.3]]], [[[0.5], [0.3]]]])  # f = 1.5 and 0.3
LOGITS = classifiers.two_class_linear(WEIGHTS)
LABELS = tf.constant([0, 0])


def test_linear_boundary_is_f_over_the_norm_away():
    adversarial = attacks.DDN(steps=150, gamma=0.02)(LOGITS, IMAGES, LABELS, seed=0)
    np.testing.assert_allclose(balls.L2.size(adversarial - IMAGES), [1.5 / 5, 0.3 / 5], rtol=0.02)
    assert (tf.argmax(LOGITS(adversarial), axis=1) == 1).numpy().all()


def test_the_radius_grows_until_an_image_is_broken_and_shrinks_while_it_is():
    """Along a line without curvature the images asked about are at the radii themselves."""
    asked = []

    def logits_fn(images):
        asked.append(float(balls.L2.size(images - IMAGES[1:])[0]))
        return LOGITS(images)

    attacks.DDN(steps=6, gamma=0.1, initial_radius=0.05)(logits_fn, IMAGES[1:], LABELS[1:], seed=0)
    assert max(asked[:-5]) == pytest.approx(0, abs=1e-6)
    # The boundary is 0.06 away: 0.055 and 0.0605 outward, then inward and outward in turn.
    np.testing.assert_allclose(asked[-5:], [0.055, 0.0605, 0.05445, 0.059895, 0.0658845], rtol=1e-4)


@shared.needs_golden
def test_distances_are_those_of_foolbox():
    """Medians of the first 50 images, at most a hundredth more; over all 100, by hand, 1.4748 and 1.4748."""
    reference, golden = shared.golden("minimal_norm_lenet_mnist"), shared.golden("deepfool_lenet_mnist")
    images, labels = golden["images"][:50], golden["labels"][:50]
    network = shared.reference_lenet()
    adversarial = tf.function(attacks.DDN(), autograph=False)(network, images, labels, seed=0).numpy()
    assert (network(adversarial).numpy().argmax(axis=1) != labels).all()
    sizes = balls.L2.size(adversarial - images).numpy()
    assert np.median(sizes) <= 1.01 * np.median(reference["ddn:l2"][:50])
