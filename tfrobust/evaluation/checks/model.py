"""Checks of the model itself: what it answers, and whether gradients say anything about it."""

import numpy as np
import tensorflow as tf

from tfrobust import objectives
from tfrobust.evaluation.checks.finding import Finding
from tfrobust.evaluation.evidence import Evidence

_ENOUGH = 20  # images, of which the share of correct ones says something


def chance_accuracy(evidence: Evidence):
    """SCALE: the model classifies no more images correctly than guessing would."""
    examples, classes = evidence.logits.shape
    accuracy, chance = float(np.mean(evidence.logits.argmax(axis=1) == evidence.labels)), 1 / classes
    if examples >= _ENOUGH and accuracy <= chance + 2 * np.sqrt(chance * (1 - chance) / examples):
        yield Finding(
            code="SCALE",
            evidence=f"{accuracy:.1%} of the clean images are classified correctly, no more than the {chance:.1%} of "
            f"guessing among {classes} classes",
            remedy="check that images and labels are those that the model was trained for: the scale of the pixels "
            "(bounds=(0, 255) or bounds=(-1, 1), flag --bounds), the order of the channels, the numbers of the classes",
        )


def saturated_logits(evidence: Evidence):
    """LOGITS: the cross-entropy is rounded to zero."""
    loss = objectives.cross_entropy(tf.constant(evidence.logits), tf.constant(evidence.labels)).numpy()
    share = float(np.mean(loss == 0))
    if share > 0.1:
        yield Finding(
            code="LOGITS",
            evidence=f"cross-entropy is exactly 0 on {share:.0%} of the images "
            f"(largest logit {np.abs(evidence.logits).max():.3g}): its gradient is lost in rounding",
            remedy="attack with objective=margin or objective=dlr, which do not saturate",
        )


def random_answers(evidence: Evidence):
    """RANDOM: the same images get other logits each time."""
    first, *others = evidence.passes
    spread = max(float(np.abs(one - first).max()) for one in others) / max(float(np.abs(first).max()), 1e-12)
    if spread > 1e-4:
        yield Finding(
            code="RANDOM",
            evidence=f"five forward passes on the same images differ by {spread:.2g} of the largest logit",
            remedy="average gradients over draws (expectation over transformations) and judge by fresh draws",
        )


def useless_gradients(evidence: Evidence):
    """NANGRAD and ZEROGRAD: gradients that lead nowhere."""
    for objective, gradient in evidence.gradients.items():
        bad = float(np.mean(~np.isfinite(gradient).all(axis=1)))
        zero = float(np.mean((gradient == 0).all(axis=1)))
        if bad > 0:
            yield Finding(
                code="NANGRAD",
                evidence=f"the gradient of {objective} is NaN or infinite on {bad:.0%} of {len(gradient)} images",
                remedy="find the layer (square roots and norms at zero, log of zero) before trusting any "
                "gradient attack",
            )
        if zero > 0.01:
            yield Finding(
                code="ZEROGRAD",
                evidence=f"the gradient of {objective} is exactly zero on {zero:.0%} of {len(gradient)} images",
                remedy="use another objective, attack a differentiable stand-in, or try score-based and decision-based attacks",
            )


def few_classes(evidence: Evidence):
    """FEWCLS: fewer classes than an objective needs."""
    classes = evidence.logits.shape[1]
    if classes < 4:
        yield Finding(
            code="FEWCLS",
            evidence=f"{classes} classes",
            remedy="objective=dlr needs 3 and targeted DLR 4 classes: use cross_entropy",
        )
