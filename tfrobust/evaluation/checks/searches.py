"""Checks by attacking a sample again: from scores alone, in a far larger ball, and for twice as long."""

import numpy as np

from tfrobust.evaluation import metrics
from tfrobust.evaluation.checks.finding import Finding
from tfrobust.evaluation.evidence import Evidence

OVER_CHANCE = 0.1  # accuracy that a ball may leave in which any image can become gray
MORE = 3  # images
INVALID = 0.2  # of a sample on which the attack must succeed
MORE_SHARE = 0.01  # of the evaluated images


def black_box(evidence: Evidence):
    """BLACK>WHITE: a search without gradients breaks what the gradients left."""
    found = evidence.black_box
    if found is not None and found.broken.sum() >= 2 and _of_all(evidence, found) >= MORE_SHARE / 2:
        yield Finding(
            code="BLACK>WHITE",
            evidence=f"{found.attack} breaks {found.broken.sum()} of {len(found.broken)} images that all gradient "
            "attacks left, drawn from all of these",
            remedy="gradients are masked: report score-based attacks, such as square with 5,000 queries, beside them",
        )


def unbounded(evidence: Evidence):
    """UNBOUNDED: images stay correctly classified where the attacker may make them gray."""
    found = evidence.far
    if found is None or len(found.broken) < 5:
        return
    left, chance = float((~found.broken).mean()), np.bincount(found.labels).max() / len(found.labels)
    if left > chance + OVER_CHANCE:
        yield Finding(
            code="UNBOUNDED",
            evidence=f"{found.attack} leaves {left:.0%} of {len(found.broken)} images, though in that ball every image "
            "can be made gray",
            remedy="the attack fails, whatever the model's robustness: look for masked gradients, raise steps and "
            "restarts",
        )


def converged(evidence: Evidence):
    """CONVERGED: twice the steps break more. Of a sample, only beyond chance."""
    found, standing = evidence.longer, evidence.standing
    if found is None or standing is None or found.broken.sum() < MORE:
        return
    more = found.broken.mean()
    surely = more if len(found.broken) == standing.sum() else metrics.wilson_interval(more, len(found.broken))[0]
    if surely * standing.mean() >= MORE_SHARE:
        yield Finding(
            code="CONVERGED",
            evidence=f"{found.attack}, with twice the steps, breaks {found.broken.sum()} of {len(found.broken)} images "
            f"that were left: about {_of_all(evidence, found):.1%} of all",
            remedy="raise steps and restarts until the number does not change",
        )


def active(evidence: Evidence):
    """ACTIVETEST: the attack fails on a model that is made breakable."""
    found = evidence.breakable
    if found is not None and (~found.broken).sum() >= 2 and (~found.broken).mean() > INVALID:
        yield Finding(
            code="ACTIVETEST",
            evidence=f"{found.attack} breaks {found.broken.sum()} of {len(found.broken)} images whose scores are shifted "
            "so that twice the effect of random noise is enough",
            remedy="the attack does not work on this model, so what it leaves is no robustness: look for masked gradients",
        )


def _of_all(evidence, found):
    """How many of all evaluated images a sample of the standing ones stands for: a share."""
    return found.broken.mean() * evidence.standing.mean()
