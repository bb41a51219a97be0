"""Checks of gradients: whether there are any, and whether what they predict is what the model then answers.

A gradient that is finite, not zero and wrong is the commonest way to look robust. Networks that hide nothing, with ReLU,
GELU or tanh, normalized or not, explain all but 1 to 8 % of the change at a step of 0.001; the limits here are three times
and more what was measured of them (benchmarks/deceivers.py).
"""

import numpy as np

from tfrobust.evaluation.checks.finding import Finding
from tfrobust.evaluation.evidence import Evidence

ZERO = 0.01  # of the images
FEW = 0.05  # of the images whose gradients are tested
WRONG, WRONG_AT_RANDOM = 0.35, 0.7  # relative error of one image, along the gradient and along random signs
MEDIAN, MEDIAN_AT_RANDOM = 0.1, 0.3  # of all images
ENOUGH = 5  # images that a median is taken of: where an attack leaves three in a hundred, these are odd ones
MEDIAN_FAR = 0.65  # along the gradient, at the step of the attack
LEAST = 0.2  # of the images whose gradients are tested, that stand


def broken(evidence: Evidence):
    """NANGRAD: gradients that are no numbers."""
    for where, found in evidence.gradients.items():
        if found.broken.any():
            yield Finding(
                code="NANGRAD",
                evidence=f"the gradient of the margin is NaN or infinite on {found.broken.mean():.1%} of the "
                f"{len(found.broken)} {where} images",
                remedy="find the layer (square roots and norms at zero, log of zero) before trusting any gradient attack",
            )


def zero(evidence: Evidence):
    """ZEROGRAD: gradients that are zero. Where an attack has broken the image, that does no harm."""
    if not evidence.white_box:
        return
    for where, found in evidence.gradients.items():
        useless = found.zero if where == "clean" or evidence.standing is None else found.zero & evidence.standing
        if useless.mean() > ZERO:
            yield Finding(
                code="ZEROGRAD",
                evidence=f"the gradient of the margin is exactly zero on {useless.mean():.0%} of the {len(useless)} "
                f"{where} images{' and they stand' if where != 'clean' else ''}",
                remedy="attack a differentiable stand-in (layers.StraightThrough), or by score-based and decision-based "
                "attacks",
            )


def unconnected(evidence: Evidence):
    """NONDIFF: no gradient anywhere."""
    if evidence.gradients and all(found.zero.all() for found in evidence.gradients.values()):
        yield Finding(
            code="NONDIFF",
            evidence="no gradient reaches any image: the model rounds, cuts, compresses or stops gradients",
            remedy="name a stand-in for the layer's backward pass (layers.StraightThrough; Athalye et al. 2018), or "
            "attack by score-based and decision-based attacks",
        )


def untrue(evidence: Evidence):
    """SHATTERED: the model does not answer what its gradients predict."""
    facts = [fact for where, found in evidence.directions.items() for fact in _untrue(where, found)]
    facts = facts or [fact for where, found in evidence.directions.items() for fact in _short(evidence, where, found)]
    if facts:
        yield Finding(
            code="SHATTERED",
            evidence="; ".join(facts),
            remedy="the gradient is masked, reversed, noisy or a stand-in's that does not fit: attack the model without "
            "that part or with a better stand-in (layers.StraightThrough), and by score-based attacks",
        )


def _untrue(where, found):
    steepest, random = (_least(errors) for errors in (found.steepest, found.random))
    wrong = (steepest > WRONG) | (random > WRONG_AT_RANDOM)
    count = f"of {len(wrong)} images, tested {where}"
    if wrong.sum() > max(FEW * len(wrong), 1):
        yield f"on {wrong.mean():.0%} {count}, the logits do not change as the gradient predicts, at any step"
    elif len(wrong) >= ENOUGH and (np.median(steepest) > MEDIAN or np.median(random) > MEDIAN_AT_RANDOM):
        yield f"{np.median(np.maximum(steepest, random)):.0%} of the change of logits is not what the gradient " + (
            f"predicts (median {count})"
        )


def _least(errors):
    """Of each image, over the steps of which something can be said; 0 where that is none."""
    least = np.where(np.isnan(errors), np.inf, errors).min(axis=0)
    return np.where(np.isinf(least), 0.0, least)


def _short(evidence, where, found):
    """The gradient is true, but of so little around an image that it leads no attack.

    An attack that has converged ends where a step leads no further, so this is no test of adversarial images; and what a
    network that is merely curved loses by it is nothing, where the attack breaks all images.
    """
    if evidence.standing is None or not where.startswith("beside"):
        return
    standing = evidence.standing[found.rows]
    if standing.mean() < LEAST:
        return
    missed = float(np.median(found.steepest[-1][standing]))
    if missed > MEDIAN_FAR:
        yield (
            f"a step of {found.steps[-1]:.2g} along the gradient misses the predicted change of logits by {missed:.0%} "
            f"(median of {standing.sum()} images that stand, tested {where})"
        )
