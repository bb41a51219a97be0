"""Images on which the artifact is wrong and the reference right."""

import keras
import numpy as np
import tensorflow as tf

from export import differential
from tests.support import classifiers
from tfrobust import attacks, objectives, targets
from tfrobust.balls import Linf

IMAGES = classifiers.random_images(40)


def test_the_margin_is_the_smaller_of_both():
    random = np.random.default_rng(0)
    reference, artifact = (random.normal(size=(200, 5)).astype("float32") for _ in range(2))
    labels = random.integers(0, 5, 200)
    found = objectives.margin(differential.together(tf.constant(reference), tf.constant(artifact), labels), labels)
    expected = np.minimum(objectives.margin(artifact, labels), -objectives.margin(reference, labels))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    success = (artifact.argmax(axis=1) != labels) & (reference.argmax(axis=1) == labels)
    np.testing.assert_array_equal(found.numpy() > 0, success)


def changed(network, share):
    """A network like another, whose weights differ by a share of their spread."""
    other = keras.models.clone_model(network)
    random = np.random.default_rng(0)
    other.set_weights([w + share * w.std() * random.normal(size=w.shape) for w in network.get_weights()])
    return other


def test_more_images_set_the_two_apart_than_those_that_fool_the_artifact_alone():
    reference = classifiers.smooth_network()
    artifact = changed(reference, 0.2)
    labels = np.argmax(reference(IMAGES), axis=1)
    both = np.argmax(artifact(IMAGES), axis=1) == labels
    images, labels = IMAGES[both], labels[both]
    attack = attacks.pgd(Linf(0.1), steps=20)
    made = differential.attacked(attack, targets.KerasTarget(reference), targets.KerasTarget(artifact), images, labels)
    assert np.abs(made - images).max() <= 0.1 + 1e-6

    def count(adversarial):
        wrong, right = (np.argmax(model(adversarial), axis=1) for model in (artifact, reference))
        return ((wrong != labels) & (right == labels)).sum()

    assert count(made) > len(images) / 2 > 0 == count(attack(artifact, images, labels, seed=0))
