"""Whether a model is more robust or hides its gradients."""

import numpy as np
import tensorflow as tf

from export import masking
from tests.support import classifiers
from tfrobust import attacks, evaluate, evaluation, targets

IMAGES = classifiers.random_images(30)
ATTACK = "pgd(linf(0.1), steps=10)"
REFERENCE = classifiers.smooth_network()
LABELS = np.argmax(REFERENCE(IMAGES), axis=1)


def judged(model):
    """The verdict on a model, attacked by its own gradients and by queries."""
    of_reference = evaluate(REFERENCE, IMAGES, LABELS, [ATTACK], progress=False, active_checks=False)
    attack_list = [ATTACK, "square(linf(0.1), queries=100)"]
    own = evaluate(model, IMAGES, LABELS, attack_list, progress=False, active_checks=False)
    return masking.judged(attacks.parse(ATTACK).ball, of_reference, evaluation.show(of_reference, model), [own])


class FalseGradients(targets.KerasTarget):
    """The reference's logits, with gradients that lead nowhere."""

    def logits(self, images):
        truth = tf.stop_gradient(super().logits(images))
        wrong = tf.reduce_sum(images, axis=[1, 2, 3])[:, None] * tf.constant([0.0, 1e-3, 0.0, 0.0])
        return truth + wrong - tf.stop_gradient(wrong)


def test_equal_logits_with_false_gradients_are_masked():
    found = judged(FalseGradients(REFERENCE))
    assert found.masked and found.own > found.reference and found.ball == "linf(0.1)"
    assert found.verdict.startswith(
        f"gradient masking: other attacks break {found.broken_by_others} of the {found.left}"
    )


def test_the_reference_itself_is_not():
    found = judged(targets.KerasTarget(REFERENCE))
    assert not found.masked and found.own == found.reference and found.verdict.startswith("no more robust")


class Nearest(targets.KerasTarget):
    """Answers as the reference does for the nearest clean image."""

    def logits(self, images):
        distances = tf.reduce_sum((images[:, None] - IMAGES[None]) ** 2, axis=[2, 3, 4])
        return tf.gather(super().logits(tf.constant(IMAGES)), tf.argmin(distances, axis=1))


def test_a_model_that_is_more_robust_is_said_to_be():
    found = judged(Nearest(REFERENCE))
    assert not found.masked and found.own == 1.0 > found.reference
    assert found.verdict == "more robust than the reference, and other attacks break 0 of the 30 examples left"
