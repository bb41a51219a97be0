"""The fields of the report's list of attacks, one line each: what it is called, how it is shown, and what it is."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tfrobust import balls
from tfrobust.evaluation import metrics
from tfrobust.evaluation.outcome import Outcome
from tfrobust.targets import Target


class Column(NamedTuple):
    """One field.

    Attributes:
      key: in report.json.
      heading: of the column in tables; None: it is not shown there.
      form: how a value is shown.
      value: of an outcome and the target that was attacked; None where it does not apply.
    """

    key: str
    heading: str | None
    form: str
    value: Callable[[Outcome, Target], object]

    def text(self, row: dict) -> str:
        """A row's value as a table shows it."""
        return "" if row[self.key] is None else self.form.format(row[self.key])


def _norm(outcome, target):
    return None if outcome.ball is None else type(outcome.ball).__name__.lower()


def _radius(outcome, target):
    return None if outcome.ball is None else outcome.ball.radius


def _success_rate(outcome, target):
    attacked = outcome.examples.attacked
    return float(outcome.hit.sum() / attacked.sum()) if attacked.any() else None


def _median(norm):
    """Over the examples that the attack itself broke."""
    return lambda outcome, target: float(np.median(outcome.distances(norm))) if outcome.hit.any() else None


def _rho_2(outcome, target):
    """Of an attack whose paper reports it, where the target itself can be differentiated."""
    if not (outcome.attack.reports_rho_2 and target.allows(outcome.attack)):
        return None
    images, labels, _ = outcome.examples
    origin = 0.0 if target.origin is None else target.origin
    rho_2, _ = metrics.deepfool_rho_2(target.logits, images, labels, origin=origin, steps=outcome.attack.steps)
    return float(rho_2.mean())


COLUMNS = (
    Column("attack", None, "{}", lambda outcome, target: outcome.name),
    Column("norm", None, "{}", _norm),
    Column("radius", None, "{}", _radius),
    Column("robust_accuracy", "robust", "{:.2%}", lambda outcome, target: float((~outcome.broken).mean())),
    Column("robust_accuracy_uint8", "8-bit", "{:.2%}", lambda outcome, target: float((~outcome.broken_uint8).mean())),
    Column("success_rate", None, "{:.2%}", _success_rate),
    Column("median_l2", "median l2", "{:.3f}", _median(balls.L2)),
    Column("median_linf", "median linf", "{:.4f}", _median(balls.Linf)),
    Column("rho_2", "rho_2", "{:.4f}", _rho_2),
    Column("queries", "queries", "{:.0f}", lambda outcome, target: outcome.queries),
    Column("backward_passes", "backward", "{:.0f}", lambda outcome, target: outcome.backward_passes),
    Column("seconds", "seconds", "{:.1f}", lambda outcome, target: round(outcome.seconds, 3)),
    Column("source", None, "{}", lambda outcome, target: outcome.source),
)
SHOWN = tuple(column for column in COLUMNS if column.heading)


def row(outcome: Outcome, target: Target) -> dict:
    """One entry of the report's list of attacks."""
    return {column.key: column.value(outcome, target) for column in COLUMNS}
