"""Robust accuracy by distance, over all attacks together: an example is broken by any image of any of them.

Each norm has numbers of its own; there is none over several.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from tfrobust import balls
from tfrobust.evaluation.outcome import Outcome
from tfrobust.evaluation.prepare import Examples

_POINTS = 200  # of a curve, at most


def standing(outcomes: Sequence[Outcome], examples: Examples) -> dict[balls.Ball, np.ndarray]:
    """For each ball among the attacks, bool [examples]: the `survivors`, whichever attack made the image."""
    found = dict.fromkeys(outcome.ball for outcome in outcomes if outcome.ball is not None)
    return {ball: survivors(outcomes, examples, ball) for ball in found}


def worst_cases(survived: Mapping[balls.Ball, np.ndarray]) -> list[dict]:
    """For each ball of `standing`, the share of examples that no image inside breaks."""
    return [
        {
            "ball": str(ball),
            "norm": _name(type(ball)),
            "radius": ball.radius,
            "robust_accuracy": float(stand.mean()),
        }
        for ball, stand in survived.items()
    ]


def survivors(outcomes: Sequence[Outcome], examples: Examples, ball: balls.Ball) -> np.ndarray:
    """bool [examples]: classified correctly, and no image inside the ball changes that."""
    standing = examples.attacked.copy()
    for outcome in outcomes:
        rows = np.flatnonzero(standing & outcome.fools)
        if len(rows):
            standing[rows] = ~outcome.lies_in(ball, rows)
    return standing


def curves(outcomes: Sequence[Outcome], examples: Examples) -> dict[str, dict]:
    """For each norm among the attacks, the robust accuracy as a function of the radius.

    Returns:
      By norm, {"radius": increasing floats from 0, "robust_accuracy": as many floats}: at each radius where it falls,
      or at `_POINTS` of these.
    """
    limits = [outcome.attack.norm or (outcome.ball and type(outcome.ball)) for outcome in outcomes]
    norms = dict.fromkeys(norm for norm in limits if norm is not None)
    return {_name(norm): _curve(norm, outcomes, examples) for norm in norms}


def _curve(norm, outcomes, examples):
    nearest = np.where(examples.attacked, np.inf, 0.0)
    for outcome in outcomes:
        rows = np.flatnonzero(outcome.fools)
        if len(rows):
            nearest[rows] = np.minimum(nearest[rows], outcome.sizes(norm, rows))
    steps = np.unique(nearest[np.isfinite(nearest) & (nearest > 0)])
    steps = (
        steps[np.unique(np.linspace(0, len(steps) - 1, min(len(steps), _POINTS)).astype(int))] if len(steps) else steps
    )
    radii = np.concatenate([[0.0], steps])
    return {
        "radius": radii.tolist(),
        "robust_accuracy": [float((nearest > radius).mean()) for radius in radii],
    }


def _name(norm):
    return norm.__name__.lower()
