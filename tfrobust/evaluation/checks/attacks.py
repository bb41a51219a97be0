"""Checks of the attacks' results against one another and against what they must be."""

import itertools
from collections.abc import Iterator, Mapping

import numpy as np

from tfrobust import balls
from tfrobust.attacks import Access, Attack, Targeted, parse
from tfrobust.attacks.compose import Wrapper
from tfrobust.evaluation import metrics
from tfrobust.evaluation.checks.finding import Finding
from tfrobust.evaluation.evidence import Evidence
from tfrobust.evaluation.outcome import Outcome
from tfrobust.evaluation.probes import searches

TOLERANCE = 0.002  # of a robust accuracy
LATE_GAIN = 0.12  # of an attack's progress; one that has converged makes 0.01 to 0.05 in its last quarter
LEAST_QUESTIONS = 5
BROKEN = 0.1  # what attacks may leave of a model without a defense


def _bounded(evidence: Evidence):
    """The rows that have a robust accuracy, and their attacks."""
    rows = zip(evidence.rows, evidence.attacks)
    return [(row, attack) for row, attack in rows if attack.ball is not None and row["robust_accuracy"] is not None]


def few_examples(evidence: Evidence):
    """N: too few examples for a narrow interval."""
    examples = len(evidence.logits)
    accuracies = [row["robust_accuracy"] for row, _ in _bounded(evidence)]
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
        (row, attack, searches.steps(attack)) for row, attack in _bounded(evidence) if attack.needs is Access.WHITE_BOX
    ]
    for (single, one, few), (iterative, other, many) in itertools.permutations(bounded, 2):
        lost = iterative["robust_accuracy"] - single["robust_accuracy"]
        if few == 1 and (many or 1) > 1 and one.ball == other.ball and _goal(one) == _goal(other) and lost > TOLERANCE:
            yield Finding(
                code="ORDER",
                evidence=f"{single['attack']} leaves {single['robust_accuracy']:.1%}, fewer than the "
                f"{iterative['robust_accuracy']:.1%} of {iterative['attack']}",
                remedy="gradients are masked or steps too large: raise steps and restarts, try objective=margin",
            )


def monotone(evidence: Evidence):
    """MONOTONE: robust accuracy rises with the radius, for the same attack otherwise."""
    families: dict[tuple, list[tuple[float, dict]]] = {}
    for row, attack in _bounded(evidence):
        families.setdefault(attack.family(), []).append((attack.ball.radius, row))
    for family in families.values():
        for (_, small), (_, large) in itertools.pairwise(sorted(family, key=lambda member: member[0])):
            if large["robust_accuracy"] - small["robust_accuracy"] > TOLERANCE:
                yield Finding(
                    code="MONOTONE",
                    evidence=f"{large['attack']} leaves {large['robust_accuracy']:.1%}, more than the "
                    f"{small['robust_accuracy']:.1%} of {small['attack']}",
                    remedy="the attack has not converged: raise steps and restarts",
                )


def _goal(attack: Attack):
    """What an attack, or the one inside, wants instead of any wrong class."""
    if isinstance(attack, Targeted):
        return attack.goal
    return _goal(attack.attack) if isinstance(attack, Wrapper) else attack.targeted


def stronger_black_box(evidence: Evidence):
    """BLACK>WHITE: example by example, attacks without gradients break what those with gradients left."""
    by_ball: dict[balls.Ball | None, tuple[list[Outcome], list[Outcome]]] = {}
    for outcome in evidence.outcomes:
        by_ball.setdefault(outcome.ball, ([], []))[outcome.attack.needs is Access.WHITE_BOX].append(outcome)
    for ball, (without, with_gradients) in by_ball.items():
        if ball is None or not with_gradients or not without:
            continue
        left = ~np.logical_or.reduce([outcome.broken for outcome in with_gradients])
        for outcome in without:
            more = int((outcome.broken & left).sum())
            if more > max(TOLERANCE * len(left), 2):
                yield Finding(
                    code="BLACK>WHITE",
                    evidence=f"{outcome.name} breaks {more} of the {left.sum()} images that all gradient attacks left",
                    remedy="gradients are masked or the gradient attacks too short: the lowest number counts",
                )


def last_stage(evidence: Evidence):
    """BLACK>WHITE: in AutoAttack, Square breaks what its gradient attacks left."""
    for outcome in evidence.outcomes:
        stages = [] if outcome.trace is None else list(outcome.trace.stages)
        for (_, before), (attack, after) in itertools.pairwise(stages):
            if parse(attack).needs is not Access.WHITE_BOX and before - after > max(TOLERANCE * len(outcome.broken), 2):
                yield Finding(
                    code="BLACK>WHITE",
                    evidence=f"in {outcome.name}, {attack} breaks {before - after} of {before} images that the gradient "
                    "attacks before it left",
                    remedy="gradients are masked: raise the queries of square, and attack a differentiable stand-in",
                )


def silent(evidence: Evidence):
    """SILENT: an attack saw successes that it did not return."""
    for outcome in evidence.outcomes:
        if outcome.trace is None or not outcome.attack.bounded:
            continue
        returned = outcome.broken[outcome.examples.attacked]
        lost = int((outcome.trace.reached & ~returned).sum())
        if lost > max(TOLERANCE * len(returned), 2):
            yield Finding(
                code="SILENT",
                evidence=f"{outcome.name} fooled the model with {lost} images on its way and returned others",
                remedy="keep the best iterate (keep=best), or judge a model with random answers by more draws",
            )


def incomplete(evidence: Evidence):
    """INCOMPLETE: the objective of the strongest attack in a ball still rises at the end."""
    strongest: dict[balls.Ball, Outcome] = {}
    for outcome in evidence.outcomes:
        if outcome.ball is None:
            continue
        best = strongest.get(outcome.ball)
        if best is None or outcome.broken.sum() > best.broken.sum():
            strongest[outcome.ball] = outcome
    for outcome in strongest.values():
        late = _late_gain(outcome)
        if late > LATE_GAIN:
            yield Finding(
                code="INCOMPLETE",
                evidence=f"{outcome.name} made {late:.0%} of its progress on the images that stand in its last quarter",
                remedy="raise steps, or the step size: the attack stopped while it was rising",
            )


def _late_gain(outcome):
    """How much of the rise of its objective an attack made in the last quarter of its questions; 0 where it is done."""
    trace = outcome.trace
    if trace is None or len(trace.questions) < LEAST_QUESTIONS or not np.isfinite(trace.objective).all():
        return 0.0
    questions, objective = trace.questions[1:], trace.objective[1:]  # without that about the clean images
    start = np.interp(questions[-1] - (questions[-1] - questions[0]) / 4, questions, objective)
    standing = (~trace.reached).sum()
    if standing <= max(TOLERANCE * len(outcome.broken), 2) or objective[-1] <= objective[0]:
        return 0.0
    return float((objective[-1] - start) / (objective[-1] - objective[0]))


def no_start(evidence: Evidence):
    """NOSTART: decision-based attacks that had nothing to start from."""
    for outcome in evidence.outcomes:
        if outcome.attack.needs is not Access.DECISION_BASED or outcome.attack.norm is None:
            continue
        unmoved = outcome.sizes(balls.Linf) == 0
        count = int((unmoved & outcome.examples.attacked).sum())
        if count:
            yield Finding(
                code="NOSTART",
                evidence=f"{outcome.name} found no misclassified image to start from for {count} images, which count as "
                "not broken",
                remedy="give starts=, images of other classes, or more draws",
            )


def grid(evidence: Evidence):
    """GRID: rounding matters inside a ball. A minimal perturbation is so close to the boundary that it always does."""
    moved = [
        f"{row['attack']} {row['robust_accuracy']:.1%} in float, {row['robust_accuracy_uint8']:.1%} in 8 bits"
        for row, _ in _bounded(evidence)
        if abs(row["robust_accuracy"] - row["robust_accuracy_uint8"]) > TOLERANCE
    ]
    if moved:
        yield Finding(
            code="GRID",
            evidence=f"rounding the adversarial images changes the robust accuracy: {'; '.join(moved)}",
            remedy="where inputs arrive as image files, run again with --pixels=uint8: an attack that knows of the rounding is "
            "stronger than one that is rounded afterwards",
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


def trained_with_the_same(evidence: Evidence):
    """TRAIN=TEST: nothing but the attack that the model was trained with, in the same norm."""
    known = evidence.trained_with
    if known is None or not evidence.attacks:
        return
    if all(_kind(attack) == _kind(known) for attack in evidence.attacks):
        yield Finding(
            code="TRAIN=TEST",
            evidence=f"the model was trained with {known}, and all attacks are of this kind and norm",
            remedy="attack it otherwise, too: auto_attack, another norm, and a larger radius",
        )


def _kind(attack: Attack):
    """The algorithm and the norm of an attack, or of the one inside."""
    if isinstance(attack, Wrapper):
        return _kind(attack.attack)
    return attack.name, attack.norm if attack.ball is None else type(attack.ball)


def ablation(report: Mapping, baseline: Mapping) -> Iterator[Finding]:
    """ABLATION: without the defense, too, images stand that the attacks should break.

    Args:
      report, baseline: the reports of a defended model and of the one without the defense, under the same attacks.
    """
    for worst in baseline["worst_case"]:
        left = worst["robust_accuracy"]
        if left > BROKEN and any(worst["ball"] == other["ball"] for other in report["worst_case"]):
            yield Finding(
                code="ABLATION",
                evidence=f"without the defense ({baseline['model']}), {left:.1%} still stand in {worst['ball']}",
                remedy="add attacks, or raise the radius, until the undefended model falls to about 0 %: only what is above it "
                "is the defense's",
            )
