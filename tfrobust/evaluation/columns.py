"""The fields of the report's list of attacks, one line each: what it is called, how it is shown, and what it is."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from tfrobust import balls
from tfrobust.evaluation import metrics
from tfrobust.evaluation.outcome import Outcome
from tfrobust.evaluation.predictor import MISSING, Votes
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


def _robust(broken):
    """Of a bounded attack: what another finds is at a distance."""
    return lambda outcome, target: outcome.standing(broken(outcome)) if outcome.attack.bounded else None


def _share_of_tried(hit):
    """Of the examples that could be attacked."""

    def value(outcome, target):
        hits, tried = hit(outcome), outcome.tried
        return None if hits is None or not tried.any() else float((hits & tried).sum() / tried.sum())

    return value


def _survival(of_transferred):
    """The accuracy under attack over that on clean images, of attacks on the target itself or of those made elsewhere."""

    def value(outcome, target):
        fooled = _share_of_tried(lambda outcome: outcome.hit)(outcome, target)
        return None if fooled is None or (outcome.source is not None) != of_transferred else 1.0 - fooled

    return value


def wrong_draws(votes: Votes, labels: np.ndarray) -> dict | None:
    """Of a random model, the share of draws that are wrong, with its 95 % interval; None of a fixed one.

    Examples of which there is no draw, since they were not attacked, count as wrong.
    """
    if not votes.random:
        return None
    asked = (votes.drawn != MISSING).any(axis=0)
    share = float(np.where(asked, votes.tally(votes.wrong(labels))[0], 1.0).mean())
    return {"share": share, **metrics.interval(share, len(labels))}


def _wrong_draws(outcome, target):
    return wrong_draws(outcome.votes, outcome.examples.labels)


def _median(norm):
    """Over the examples that the attack itself broke."""
    return lambda outcome, target: float(np.median(outcome.distances(norm))) if outcome.hit.any() else None


def _rho_2(outcome, target):
    """Of an attack whose paper reports it, where the target itself can be differentiated and was attacked."""
    if not (outcome.attack.reports_rho_2 and target.allows(outcome.attack)) or outcome.source is not None:
        return None
    images, labels, _ = outcome.examples
    origin = 0.0 if target.origin is None else target.origin
    rho_2, _ = metrics.deepfool_rho_2(
        target.logits, images, labels, origin=origin, steps=outcome.attack.steps, batch_size=outcome.batch_size
    )
    return float(rho_2.mean())


def _trace(outcome, target):
    return outcome.trace and outcome.trace.as_json()


def _stages(outcome, target):
    """Of attacks that are several one after the other, what each has left of all examples."""
    if not (outcome.trace and outcome.trace.stages):
        return None
    examples = len(outcome.broken)
    return [{"attack": name, "robust_accuracy": left / examples} for name, left in outcome.trace.stages]


_ROBUST = Column("robust_accuracy", "robust", "{:.2%}", _robust(lambda outcome: outcome.broken))
COLUMNS = (
    Column("attack", None, "{}", lambda outcome, target: outcome.name),
    Column("norm", None, "{}", _norm),
    Column("radius", None, "{}", _radius),
    _ROBUST,
    Column("robust_accuracy_uint8", "rounded", "{:.2%}", _robust(lambda outcome: outcome.broken_uint8)),
    Column("success_rate", "success", "{:.2%}", _share_of_tried(lambda outcome: outcome.hit)),
    Column("attack_survival_rate", None, "{:.2%}", _survival(of_transferred=False)),
    Column("defense_success_rate", None, "{:.2%}", _survival(of_transferred=True)),
    Column("target_rate", "goal", "{:.2%}", _share_of_tried(lambda outcome: outcome.reached)),
    Column("wrong_draws", "wrong draws", "{0[share]:.2%} ({0[low]:.1%} to {0[high]:.1%})", _wrong_draws),
    Column("median_l2", "median l2", "{:.3f}", _median(balls.L2)),
    Column("median_linf", "median linf", "{:.4f}", _median(balls.Linf)),
    Column("rho_2", "rho_2", "{:.4f}", _rho_2),
    Column("queries", "queries", "{:.0f}", lambda outcome, target: outcome.queries),
    Column("backward_passes", "backward", "{:.0f}", lambda outcome, target: outcome.backward_passes),
    Column("seconds", "seconds", "{:.1f}", lambda outcome, target: round(outcome.seconds, 3)),
    Column("stages", None, "{}", _stages),
    Column("trace", None, "{}", _trace),
    Column("source", None, "{}", lambda outcome, target: outcome.source),
)


def shown(reports: Sequence[dict]) -> list[Column]:
    """The columns of a table of these reports: those with a heading that hold something, or the one of the accuracy."""
    rows = [row for report in reports for row in report["attacks"]]
    held = [column for column in COLUMNS if column.heading and any(row[column.key] is not None for row in rows)]
    # In 8 bits nothing is left to round.
    on_grid = all(report["pixels"] == "uint8" for report in reports)
    return [column for column in held if not (on_grid and column.heading == "rounded")] or [_ROBUST]


def row(outcome: Outcome, target: Target) -> dict:
    """One entry of the report's list of attacks."""
    return {column.key: column.value(outcome, target) for column in COLUMNS}
