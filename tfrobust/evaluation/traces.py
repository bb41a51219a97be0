"""How an attack came to its result: its success and its objective by questions, over all examples, from its own trace."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust.attacks.trace import Trace

_COLUMNS = 640  # of a batch's trace; enough for 10 million questions
_STAGES = 32  # of a cascade, at most


class Curves(NamedTuple):
    """Over the attacked examples, after so many questions (calls of the model).

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


def as_tensors(trace: Trace, after: tf.Tensor, names: list[str]) -> dict[str, tf.Tensor]:
    """What a trace holds once `after` is computed, in shapes that do not depend on how long the attack was.

    Args:
      trace: of the attack.
      after: what the attack returned.
      names: gets the texts of a cascade's attacks.
    """

    def read():
        best, numbers = trace.best(), trace.questions()
        standing = np.zeros([len(best), _STAGES], np.int32)
        for column, stage in enumerate(trace.stages[:_STAGES]):
            standing[stage.standing, column] = 1
        names[:] = [stage.attack for stage in trace.stages[:_STAGES]] or names
        columns = np.repeat(best[:, -1:], _COLUMNS, axis=1)
        columns[:, : best.shape[1]] = best
        asked = np.full([len(best), _COLUMNS], numbers[-1], np.int64)
        asked[:, : len(numbers)] = numbers
        return columns, asked, standing

    with tf.control_dependencies([after]):
        best, asked, standing = tf.numpy_function(read, [], [tf.float32, tf.int64, tf.int32])
    return {"trace_best": best, "trace_asked": asked, "trace_standing": standing}


def of_batch(made: dict[str, np.ndarray], count: int, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The trace of a batch's first `count` examples, as sums that are small enough to keep; names of a cascade's attacks."""
    best, asked = made["trace_best"][:count], made["trace_asked"].max(axis=0)
    best = np.where(np.isneginf(best), np.nanmin(np.where(np.isneginf(best), np.nan, best), initial=0.0), best)
    reached = best[:, -1] > 0
    return {
        "trace_questions": asked,
        "trace_success": (best > 0).sum(axis=0),
        "trace_objective": best[~reached].sum(axis=0),
        "trace_reached": reached,
        "trace_standing": made["trace_standing"][:count, : len(names)].sum(axis=0),
        "trace_names": np.array(names, dtype=str),
    }


def together(parts: Sequence[dict[str, np.ndarray]]) -> Curves | None:
    """The curves of all batches, each of which keeps its last value where others go on; None of none.

    Args:
      parts: of each batch, what `of_batch` found, and "trace_places": where its examples stand among all.
    """
    if not parts:
        return None
    longest = max(parts, key=lambda part: part["trace_questions"][-1])
    columns = int(np.argmax(longest["trace_questions"])) + 1
    reached, places = (np.concatenate([part[name] for part in parts]) for name in ("trace_reached", "trace_places"))
    reached = reached[np.argsort(places)]
    success, objective = (sum(part[name] for part in parts)[:columns] for name in ("trace_success", "trace_objective"))
    never = int((~reached).sum())
    staged = [part for part in parts if part["trace_standing"].size]
    left = sum(part["trace_standing"] for part in staged)
    return Curves(
        longest["trace_questions"][:columns],
        success / len(reached),
        objective / never if never else np.full(columns, np.nan),
        reached,
        tuple(zip(staged[0]["trace_names"].tolist(), left.tolist())) if staged else (),
    )
