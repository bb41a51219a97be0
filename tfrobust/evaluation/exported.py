"""Results as data: a row for each attack, and numbers for each example."""

import csv
import io
from collections.abc import Sequence

import numpy as np

from tfrobust import balls
from tfrobust.errors import InputError
from tfrobust.evaluation.columns import COLUMNS
from tfrobust.evaluation.outcome import Outcome

_OF_ALL = ("model", "dataset", "examples", "pixels", "seed", "clean_accuracy")
_NESTED = ("stages", "trace", "wrong_draws")  # of a row, what is no single value


def rows(report: dict) -> list[dict]:
    """A flat row for each attack of a report: what holds for all of them, then the attack's own columns.

    Of a random model's `wrong_draws`, three columns: the share, and the two ends of its interval.
    """
    common = {name: report[name] for name in _OF_ALL}
    return [{**common, **_flat(row)} for row in report["attacks"]]


def names() -> list[str]:
    """What the columns of `rows` are called."""
    empty = {column.key: None for column in COLUMNS}
    return [*_OF_ALL, *_flat(empty)]


def _flat(row):
    draws = row["wrong_draws"] or {}
    values = {name: value for name, value in row.items() if name not in _NESTED}
    return {**values, **{f"wrong_draws_{name}": draws.get(name) for name in ("share", "low", "high")}}


def csv_text(report: dict) -> str:
    """`rows` as comma-separated values with a heading; empty where a column does not apply."""
    return as_csv(rows(report), names())


def as_csv(rows: Sequence[dict], columns: Sequence[str] | None = None) -> str:
    """Rows under a heading of some of their names; None: of all of them, in the order in which they appear."""
    contents = io.StringIO()
    known = columns or list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(contents, known, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return contents.getvalue()


def dataframe(report: dict):
    """`rows` as a pandas DataFrame.

    Raises:
      InputError: where pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise InputError(
            "to_dataframe needs pandas, which is not installed: pip install pandas, or use to_csv"
        ) from error
    return pd.DataFrame(rows(report), columns=names())


def examples(labels: np.ndarray, predictions: np.ndarray, outcomes: Sequence[Outcome]) -> dict[str, np.ndarray]:
    """What became of each example, by attack.

    Args:
      labels, predictions: int [examples], of the clean images.
      outcomes: of the attacks.

    Returns:
      `label` and `prediction` int64 [examples]; `attack` text [attacks]; and of each attack and example, arrays [attacks,
      examples]: `attacked`, `broken` and `broken_uint8` bool, `adversarial_prediction` int64, `l2` and `linf` float32, the
      distance of the adversarial image from the clean one. An example that was not attacked is its own adversarial image.
    """

    def each(value, dtype):
        return np.array([value(outcome) for outcome in outcomes], dtype).reshape(len(outcomes), len(labels))

    return {
        "label": np.asarray(labels, "int64"),
        "prediction": np.asarray(predictions, "int64"),
        "attack": np.array([outcome.name for outcome in outcomes], str),
        "attacked": each(lambda outcome: outcome.examples.attacked, bool),
        "broken": each(lambda outcome: outcome.broken, bool),
        "broken_uint8": each(lambda outcome: outcome.broken_uint8, bool),
        "adversarial_prediction": each(
            lambda outcome: np.where(outcome.examples.attacked, outcome.predictions, predictions), "int64"
        ),
        "l2": each(lambda outcome: outcome.sizes(balls.L2), "float32"),
        "linf": each(lambda outcome: outcome.sizes(balls.Linf), "float32"),
    }
