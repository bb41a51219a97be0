"""Accuracy by class, and by any column that came with the data: where a model is weaker than its mean says."""

from collections.abc import Mapping, Sequence

import numpy as np

from tfrobust import balls
from tfrobust.errors import InputError
from tfrobust.evaluation.outcome import Outcome
from tfrobust.evaluation.prepare import Examples

ENOUGH = 5  # examples of a slice that may be named the worst


def slices(
    columns: Mapping[str, np.ndarray],
    outcomes: Sequence[Outcome],
    examples: Examples,
    survived: Mapping[balls.Ball, np.ndarray],
) -> dict[str, list[dict]]:
    """The accuracies of the examples with each value of each column, in the order of the values.

    Args:
      columns: by name, a value for each example; the labels are a column of their own, "label".
      outcomes: of the attacks.
      examples: what was attacked.
      survived: by ball, see `radii.standing`.

    Returns:
      By column, for each value {"value", "examples", "clean_accuracy", "robust_accuracy": by bounded attack, "worst_case":
      by ball}.

    Raises:
      InputError: for a column of another length.
    """
    everything = {"label": examples.labels, **columns}
    for name, values in everything.items():
        if np.shape(values) != (len(examples.labels),):
            raise InputError(
                f"the slices {name!r} must be a value for each of the {len(examples.labels)} examples, got {np.shape(values)}"
            )
    standing = {"robust_accuracy": {outcome.name: ~outcome.broken for outcome in outcomes if outcome.attack.bounded}}
    standing["worst_case"] = {str(ball): stand for ball, stand in survived.items()}
    return {name: _of_column(np.asarray(values), examples, standing) for name, values in everything.items()}


def _of_column(values, examples, standing):
    found = []
    for value in np.unique(values):
        rows = values == value
        shares = {
            kind: {name: float(stand[rows].mean()) for name, stand in by_name.items()}
            for kind, by_name in standing.items()
        }
        clean = float(examples.attacked[rows].mean())
        found.append({"value": value.item(), "examples": int(rows.sum()), "clean_accuracy": clean, **shares})
    return found


def accuracy(found: dict) -> float:
    """The number by which slices are compared: the lowest worst case, else the lowest attack's, else the clean one."""
    for kind in ("worst_case", "robust_accuracy"):
        if found[kind]:
            return min(found[kind].values())
    return found["clean_accuracy"]


def worst(of_column: Sequence[dict]) -> dict | None:
    """The slice of lowest accuracy among those with enough examples; None if there are not two of these."""
    enough = [found for found in of_column if found["examples"] >= ENOUGH]
    return min(enough, key=accuracy) if len(enough) > 1 else None
