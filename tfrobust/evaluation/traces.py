"""How an attack came to its result: its success and its objective by questions, over all examples, from its own trace."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust.attacks.trace import QUESTIONS, Trace, questions_up_to

_STAGES = 32  # of a cascade, at most


class Curves(NamedTuple):
    """Over the attacked examples, after so many questions (calls of the model) about each.

    Attributes:
      questions: int [columns], increasing.
      success: float [columns], the share that was a success at some question by then, by the attack's own answers.
      objective: float [columns], the mean best margin by then of those that never were a success: NaN of none.
      reached: bool [examples], whether the attack saw a success at some question.
      stages: (attack, how many examples it left standing) of each attack of a cascade.
    """

    questions: np.ndarray
    success: np.ndarray
    objective: np.ndarray
    reached: np.ndarray
    stages: tuple[tuple[str, int], ...] = ()

    def as_json(self) -> dict:
        """Lists, for report.json."""
        objective = [None if np.isnan(value) else float(value) for value in self.objective]
        return {"questions": self.questions.tolist(), "success": self.success.tolist(), "objective": objective}


@functools.cache
def names_of(attack: str) -> list[str]:
    """The texts of a cascade's attacks, as runs of it have found them: one list for all attacks of one `identity.text`."""
    return []


def as_tensors(trace: Trace, after: tf.Tensor, names: list[str]) -> dict[str, tf.Tensor]:
    """What a trace holds once `after` is computed, in shapes that do not depend on how long the attack was.

    Args:
      trace: of the attack.
      after: what the attack returned.
      names: gets the texts of a cascade's attacks.
    """

    def read():
        best = trace.best()
        standing = np.zeros([len(best), _STAGES], np.int32)
        for column, stage in enumerate(trace.stages[:_STAGES]):
            standing[stage.standing, column] = 1
        names[:] = [stage.attack for stage in trace.stages[:_STAGES]] or names
        columns = np.pad(best, [(0, 0), (0, len(QUESTIONS) - best.shape[1])], mode="edge")
        return columns, trace.asked(), standing

    with tf.control_dependencies([after]):
        best, asked, standing = tf.numpy_function(read, [], [tf.float32, tf.int64, tf.int32])
    return {"trace_best": best, "trace_asked": asked, "trace_standing": standing}


def of_batch(made: dict[str, np.ndarray], names: Sequence[str]) -> dict[str, np.ndarray]:
    """The trace of a batch, as sums that are small enough to keep; names of a cascade's attacks."""
    best, asked = made["trace_best"], made["trace_asked"]
    reached = best[:, -1] > 0
    standing = np.isfinite(best) & ~reached[:, None]
    return {
        "trace_asked": asked,
        "trace_success": (best > 0).sum(axis=0),
        "trace_objective": np.where(standing, best, 0.0).sum(axis=0, dtype="float64"),
        "trace_counted": standing.sum(axis=0),
        "trace_reached": reached,
        "trace_standing": made["trace_standing"][:, : len(names)].sum(axis=0),
        "trace_names": np.array(names, dtype=str),
    }


def together(parts: Sequence[dict[str, np.ndarray]]) -> Curves | None:
    """The curves of all batches, in which each example keeps its last value where others go on; None of none.

    Args:
      parts: of each batch, what `of_batch` found, and "trace_places": where its examples stand among all.
    """
    if not parts:
        return None
    asked, reached, places = (
        np.concatenate([part[f"trace_{name}"] for part in parts]) for name in ("asked", "reached", "places")
    )
    questions = questions_up_to(asked.max())
    columns = len(questions)
    success, objective, counted = (
        _sum([part[f"trace_{name}"] for part in parts])[:columns] for name in ("success", "objective", "counted")
    )
    staged = [part for part in parts if part["trace_standing"].size]
    left = _sum([part["trace_standing"] for part in staged]) if staged else np.zeros(0, int)
    return Curves(
        questions,
        success / len(reached),
        np.divide(objective, counted, out=np.full(columns, np.nan), where=counted > 0),
        reached[np.argsort(places)],
        tuple(zip(staged[0]["trace_names"].tolist(), left.tolist())) if staged else (),
    )


def _sum(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return functools.reduce(np.add, arrays)
