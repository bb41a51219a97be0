"""Checks of the attacks' results against one another and against what they must be."""

import itertools

from tfrobust.evaluation import metrics
from tfrobust.evaluation.checks.finding import Finding
from tfrobust.evaluation.evidence import Evidence

TOLERANCE = 0.002  # of a robust accuracy


def few_examples(evidence: Evidence):
    """N: too few examples for a narrow interval."""
    examples = len(evidence.logits)
    accuracies = [row["robust_accuracy"] for row in evidence.rows if row["radius"] is not None]
    if examples < 1000 and accuracies:
        lowest = min(accuracies)
        low, high = metrics.wilson_interval(lowest, examples)
        yield Finding(
            code="N",
            evidence=f"{examples} examples: {lowest:.1%} robust accuracy has the 95 % interval {low:.1%} to {high:.1%}",
            remedy="evaluate 1,000 examples or more",
        )


def order(evidence: Evidence):
    """ORDER: a single-step attack beats an iterative one in the same ball."""
    bounded = [
        (row, attack.ball, vars(attack).get("steps"))
        for row, attack in zip(evidence.rows, evidence.attacks)
        if attack.ball is not None
    ]
    for (single, ball, one), (iterative, other, many) in itertools.permutations(bounded, 2):
        lost = iterative["robust_accuracy"] - single["robust_accuracy"]
        if one == 1 and many is not None and many > 1 and ball == other and lost > TOLERANCE:
            yield Finding(
                code="ORDER",
                evidence=f"{single['attack']} leaves {single['robust_accuracy']:.1%}, fewer than the "
                f"{iterative['robust_accuracy']:.1%} of {iterative['attack']}",
                remedy="gradients are masked or steps too large: raise steps and restarts, try objective=margin",
            )


def monotone(evidence: Evidence):
    """MONOTONE: robust accuracy rises with the radius, for the same attack otherwise."""
    families = {}
    for row in evidence.rows:
        if row["radius"] is not None:
            family = (row["attack"].split("(")[0], row["norm"], row["attack"].partition("),")[2])
            families.setdefault(family, []).append(row)
    for family in families.values():
        for small, large in itertools.pairwise(sorted(family, key=lambda row: row["radius"])):
            if large["robust_accuracy"] - small["robust_accuracy"] > TOLERANCE:
                yield Finding(
                    code="MONOTONE",
                    evidence=f"{large['attack']} leaves {large['robust_accuracy']:.1%}, more than the "
                    f"{small['robust_accuracy']:.1%} of {small['attack']}",
                    remedy="the attack has not converged: raise steps and restarts",
                )


def grid(evidence: Evidence):
    """GRID: rounding matters inside a ball. A minimal perturbation is so close to the boundary that it always does."""
    moved = [
        f"{row['attack']} {row['robust_accuracy']:.1%} in float, {row['robust_accuracy_uint8']:.1%} in 8 bits"
        for row in evidence.rows
        if row["radius"] is not None and abs(row["robust_accuracy"] - row["robust_accuracy_uint8"]) > TOLERANCE
    ]
    if moved:
        yield Finding(
            code="GRID",
            evidence=f"rounding the adversarial images changes the robust accuracy: {'; '.join(moved)}",
            remedy="report the 8-bit number for inputs that arrive as image files",
        )


def budget(evidence: Evidence):
    """BUDGET: an attack left its ball or [0, 1]."""
    for row, invalid in zip(evidence.rows, evidence.invalid):
        if invalid:
            yield Finding(
                code="BUDGET",
                evidence=f"{row['attack']}: {invalid} images that fool the model lie outside the ball or [0, 1] "
                "and were not counted",
                remedy="mend the attack: its results must stay inside",
            )


def transferred(evidence: Evidence):
    """TRANSFER: nothing was attacked directly."""
    if evidence.rows and all(row["source"] for row in evidence.rows):
        yield Finding(
            code="TRANSFER",
            evidence=f"all attacks were made on {evidence.rows[0]['source']} and transferred",
            remedy="read the robust accuracy as an upper bound: an attacker with queries to this artifact may do "
            "better",
        )
