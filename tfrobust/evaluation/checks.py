"""Warnings when an evaluation is not to be trusted: each with a code, the evidence and a remedy.

After Carlini et al., "On Evaluating Adversarial Robustness" (2019), and the checks of AutoAttack and RobustBench.
"""

import itertools

import numpy as np
import tensorflow as tf

from tfrobust import gradients, objectives
from tfrobust.evaluation import metrics


def run(target, judge, images, labels, clean, attacks, rows, outcomes):
    """All warnings for one evaluation: a list of {"code", "evidence", "remedy"}."""
    return [
        *_logits(clean, labels),
        *_random(judge, images[: judge.batch_size]),
        *(_gradients(target, images[: judge.batch_size], labels[: judge.batch_size])),
        *_sample(clean, rows),
        *_order(attacks, rows),
        *_monotone(rows),
        *_grid(rows),
        *_budget(outcomes),
        *_transfer(rows),
    ]


def _warning(code, evidence, remedy):
    return {"code": code, "evidence": evidence, "remedy": remedy}


def _logits(clean, labels):
    loss = objectives.cross_entropy(tf.constant(clean), tf.constant(labels)).numpy()
    share = float(np.mean(loss == 0))
    if share > 0.1:
        yield _warning(
            "LOGITS",
            f"cross-entropy is exactly 0 on {share:.0%} of the images (largest logit {np.abs(clean).max():.3g}): "
            "its gradient is lost in rounding",
            "attack with objective=margin or objective=dlr, which do not saturate",
        )


def _random(judge, images):
    passes = [judge.logits(images) for _ in range(5)]
    spread = max(float(np.abs(one - passes[0]).max()) for one in passes) / max(float(np.abs(passes[0]).max()), 1e-12)
    if spread > 1e-4:
        yield _warning(
            "RANDOM",
            f"five forward passes on the same images differ by {spread:.2g} of the largest logit",
            "average gradients over draws (expectation over transformations) and judge by fresh draws",
        )


def _gradients(target, images, labels):
    if target.gives != "gradients":
        return
    images, labels = tf.constant(images), tf.constant(labels)
    for objective in (objectives.cross_entropy, objectives.margin):
        _, gradient = gradients.value_and_gradient(objective, target.logits, images, labels)
        flat = gradient.numpy().reshape(len(images), -1)
        bad, zero = float(np.mean(~np.isfinite(flat).all(axis=1))), float(np.mean((flat == 0).all(axis=1)))
        if bad > 0:
            yield _warning(
                "NANGRAD",
                f"the gradient of {objective.__name__} is NaN or infinite on {bad:.0%} of {len(flat)} images",
                "find the layer (square roots and norms at zero, log of zero) before trusting any gradient attack",
            )
        if zero > 0.01:
            yield _warning(
                "ZEROGRAD",
                f"the gradient of {objective.__name__} is exactly zero on {zero:.0%} of {len(flat)} images",
                "use another objective, attack a differentiable stand-in, or attack by scores and decisions",
            )


def _sample(clean, rows):
    examples, classes = clean.shape
    if classes < 4:
        yield _warning(
            "FEWCLS", f"{classes} classes", "objective=dlr needs 3 and targeted DLR 4 classes: use cross_entropy"
        )
    accuracies = [row["robust_accuracy"] for row in rows if row["radius"] is not None]
    if examples < 1000 and accuracies:
        low, high = metrics.wilson_interval(min(accuracies), examples)
        yield _warning(
            "N",
            f"{examples} examples: {min(accuracies):.1%} robust accuracy has the 95 % interval {low:.1%} to {high:.1%}",
            "evaluate 1,000 examples or more",
        )


def _order(attacks, rows):
    """One step must not beat many steps in the same ball."""
    by_name = {row["attack"]: row["robust_accuracy"] for row in rows}
    bounded = {name: attack for name, attack in attacks.items() if getattr(attack, "ball", None) is not None}
    balls_steps = [(name, attack.ball, getattr(attack, "steps", None) or 0) for name, attack in bounded.items()]
    for single, ball, one in balls_steps:
        for iterative, other, many in balls_steps:
            if one == 1 and many > 1 and ball == other and by_name[single] < by_name[iterative] - 0.002:
                yield _warning(
                    "ORDER",
                    f"{single} leaves {by_name[single]:.1%}, fewer than the {by_name[iterative]:.1%} of {iterative}",
                    "gradients are masked or steps too large: raise steps and restarts, try objective=margin",
                )


def _monotone(rows):
    """A larger ball must not leave more survivors, for the same attack otherwise."""
    families = {}
    for row in rows:
        if row["radius"] is not None:
            family = (row["attack"].split("(")[0], row["norm"], row["attack"].partition("),")[2])
            families.setdefault(family, []).append((row["radius"], row["robust_accuracy"], row["attack"]))
    for family in families.values():
        family.sort(key=lambda entry: entry[0])
        for (_, small, small_name), (_, large, large_name) in itertools.pairwise(family):
            if large > small + 0.002:
                yield _warning(
                    "MONOTONE",
                    f"{large_name} leaves {large:.1%}, more than the {small:.1%} of {small_name}",
                    "the attack has not converged: raise steps and restarts",
                )


def _grid(rows):
    """Rounding must not matter inside a ball; a minimal perturbation is so close to the boundary that it always does."""
    moved = [
        f"{row['attack']} {row['robust_accuracy']:.1%} in float, {row['robust_accuracy_uint8']:.1%} in 8 bits"
        for row in rows
        if row["radius"] is not None and abs(row["robust_accuracy"] - row["robust_accuracy_uint8"]) > 0.002
    ]
    if moved:
        yield _warning(
            "GRID",
            f"rounding the adversarial images changes the robust accuracy: {'; '.join(moved)}",
            "report the 8-bit number for inputs that arrive as image files",
        )


def _budget(outcomes):
    for outcome in outcomes:
        if outcome.invalid:
            yield _warning(
                "BUDGET",
                f"{outcome.name}: {outcome.invalid} images that fool the model lie outside the ball or [0, 1] "
                "and were not counted",
                "mend the attack: its results must stay inside",
            )


def _transfer(rows):
    if rows and all(row["source"] for row in rows):
        yield _warning(
            "TRANSFER",
            f"all attacks were made on {rows[0]['source']} and carried over",
            "read the robust accuracy as an upper bound: an attacker with queries to this artefact may do better",
        )
