"""Checks of what the model answers, and of what its graph holds."""

import numpy as np
import tensorflow as tf

from tfrobust import objectives
from tfrobust.attacks import APGD, Attack
from tfrobust.evaluation.checks.finding import Finding
from tfrobust.evaluation.evidence import Evidence

AGAIN = 1e-4  # of what separates the classes: what answers may change when asked again
COMPANY = 1e-3  # likewise, in batches of other images, whose kernels round differently
UNCERTAIN = 0.6  # by how much the accuracy may exceed the mean softmax probability of the prediction
LOST = 0.1  # of the images


def scale_of_logits(evidence: Evidence):
    """LOGITS: the softmax of the answers says nothing of how certain the model is, or its gradient is lost."""
    logits, labels = evidence.logits, evidence.labels
    if logits.ndim != 2 or not np.isfinite(logits).all():
        return
    found = [*_bounded(logits), *_too_small(logits, labels), *_too_large(logits, labels)]
    if found:
        yield Finding(
            code="LOGITS",
            evidence="; ".join(found),
            remedy="attack what comes before the last function or factor; else use objective=margin or objective=dlr, and "
            "do not trust attacks on the cross-entropy",
        )


def _bounded(logits):
    if logits.min() >= 0.0 and logits.max() <= 1.0:
        yield "all outputs lie in [0, 1]: they are no logits, but what a sigmoid or the like makes of them"
    elif np.abs(logits).max() <= 1.0 and (np.abs(logits) > 0.99).mean() > LOST:
        yield "all outputs lie in [-1, 1], many at its ends: they are no logits, but what a tanh or the like makes of them"


def _too_small(logits, labels):
    certainty = float(tf.reduce_mean(tf.reduce_max(tf.nn.softmax(logits), axis=1)))
    accuracy = float((logits.argmax(axis=1) == labels).mean())
    if accuracy - certainty > UNCERTAIN:
        yield (
            f"the softmax of the logits gives predictions {certainty:.0%} on average, of which {accuracy:.0%} are "
            f"correct: the logits are too close together (largest {np.abs(logits).max():.3g})"
        )


def _too_large(logits, labels):
    """The gradient of the cross-entropy with respect to the logits underflows."""
    wrong = tf.nn.softmax(logits) * (1.0 - tf.one_hot(labels, logits.shape[1]))
    correct = logits.argmax(axis=1) == labels
    share = float((correct & (tf.reduce_max(wrong, axis=1).numpy() == 0.0)).mean())
    if share > LOST:
        yield (
            f"the gradient of the cross-entropy is exactly 0 on {share:.0%} of the images "
            f"(largest logit {np.abs(logits).max():.3g})"
        )


def not_a_number(evidence: Evidence):
    """NANLOGITS: adversarial images about which the model gives no answer."""
    for outcome in evidence.outcomes:
        missing = int((outcome.examples.attacked & (outcome.predictions == -1)).sum())
        if missing:
            yield Finding(
                code="NANLOGITS",
                evidence=f"{outcome.name}: NaN logits on {missing} adversarial images, which count as not broken",
                remedy="find the layer that divides by zero or overflows: whoever sends such an image gets no answer",
            )


def random_answers(evidence: Evidence):
    """RANDOM: the same images get other logits each time, or the graph draws numbers."""
    facts, found = [], evidence.answers
    if found is not None and (found.asked_again > max(AGAIN, found.rounding)).any():
        facts.append(
            f"the logits of {(found.asked_again > max(AGAIN, found.rounding)).mean():.0%} of the images change when they "
            f"are asked for again, by up to {found.asked_again.max():.2g} of what separates the classes"
        )
    elif evidence.draws > 1:
        facts.append("two passes over the same images gave different answers")
    if evidence.operations is not None and evidence.operations.random:
        facts.append(f"the model draws random numbers at inference ({', '.join(evidence.operations.random)})")
    if facts:
        yield Finding(
            code="RANDOM",
            evidence="; ".join(facts),
            remedy="average gradients over draws: expectation(attack), auto_attack(version=rand); judge by several draws",
        )


def company(evidence: Evidence):
    """BATCH: an image's logits depend on which others it is asked about with."""
    found = evidence.answers
    if found is None or not len(found.other_company):
        return
    changed = found.other_company > max(COMPANY, 2.0 * found.rounding, 3.0 * found.asked_again.max())
    if changed.any():
        yield Finding(
            code="BATCH",
            evidence=f"the logits of {changed.mean():.0%} of the images change with the rest of the batch, by up to "
            f"{found.other_company.max():.2g} of what separates the classes, and {found.flipped} predictions with them",
            remedy="use moving statistics at inference (training=False), or evaluate with batch_size=1: every number "
            "here depends on the batch size",
        )


def operations(evidence: Evidence):
    """LOOP: the model optimizes something before it answers."""
    if evidence.operations is None:
        return
    found = [*evidence.operations.loops, *evidence.operations.gradients]
    if found:
        yield Finding(
            code="LOOP",
            evidence=f"the model runs an optimization loop at inference, or another one ({', '.join(found)})",
            remedy="gradients through many turns vanish or explode: attack with score-based attacks, too, and with a "
            "differentiable stand-in for the loop (layers.StraightThrough)",
        )


def few_classes(evidence: Evidence):
    """FEWCLS: fewer classes than the objective of an attack in the report needs."""
    if evidence.logits.ndim != 2:
        return
    classes = evidence.logits.shape[1]
    needed = max((_classes(attack) for attack in evidence.attacks), default=0)
    if classes < needed:
        yield Finding(
            code="FEWCLS",
            evidence=f"{classes} classes, but the difference of logits ratio in {_names(evidence, classes)} needs {needed}",
            remedy="a difference of two logits took its place, whose attacks are weaker: use objective=cross_entropy",
        )


def _names(evidence, classes):
    return ", ".join(str(attack) for attack in evidence.attacks if _classes(attack) > classes)


def _classes(attack: Attack) -> int:
    """How many classes the objectives of an attack, and of those inside, are defined for."""
    own = 4 if isinstance(attack, APGD) and attack.targets else 0
    if vars(attack).get("objective") in (objectives.dlr, objectives.dlr_or_margin):
        own = max(own, 3)
    values = [part for value in vars(attack).values() for part in (value if isinstance(value, tuple) else (value,))]
    return max([own, *(_classes(part) for part in values if isinstance(part, Attack))])
