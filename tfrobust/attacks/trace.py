"""What an attack came to, question by question: recorded at the door to the model, so that it costs no question."""

import math
import threading
from typing import NamedTuple

import numpy as np
import tensorflow as tf

_ALL, _PER_OCTAVE = (
    64,
    32,
)  # columns are kept of the first questions, and then of so many each time their number doubles


class Stage(NamedTuple):
    """What one attack of a cascade left.

    Attributes:
      attack: its text.
      standing: int32 [standing], the rows of the batch that are no success after it; of those that were attacked.
    """

    attack: str
    standing: np.ndarray


class Trace:
    """Records each example's best margin in Python, from wherever TensorFlow calls: compiled or eager, from several threads.

    A question is one call of the model (of a random model, the mean over its draws): it goes to some examples of the
    batch, and those that have left keep what they had. A trace holds one batch: the next `Problem(..., trace=trace)`, or
    the next call of a compiled function that makes one, starts it anew. Replicas need a trace each.

    Example:
      >>> trace = Trace()
      >>> adversarial = pgd(balls.Linf(0.1)).solve(Problem(model, images, labels, keys=keys, trace=trace))
      >>> trace.best()[:, -1] > 0  # which examples were a success at some question
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._start(np.zeros(0, np.int32))

    # ---- while the attack runs ----

    def start(self, rows) -> tf.Tensor:
        """Starts anew with these examples, int32 [examples] = 0, 1, …; returns them: whoever uses them asks after it."""
        return tf.ensure_shape(tf.numpy_function(self._start, [rows], tf.int32), rows.shape)

    def record(self, rows, margins) -> tf.Operation:
        """One question: the margins, float32 [rows], of these examples, int32 [rows], which may repeat."""
        return _run(self._record, [rows, tf.stop_gradient(margins)])

    def stage(self, attack: str, rows_standing) -> tf.Operation:
        """An attack of a cascade has left these rows, int32 [standing]."""
        return _run(lambda rows: self._stage(attack, rows), [rows_standing])

    # ---- afterwards ----

    def best(self) -> np.ndarray:
        """float32 [examples, columns]: the best margin so far, positive from the first success on; -inf: not asked yet.

        Of a model that gives labels, 1 for a success and -1 for none.
        """
        with self._lock:
            return np.stack([*self._columns, self._best] if self._last_is_missing() else self._columns, axis=1)

    def questions(self) -> np.ndarray:
        """int [columns]: after how many questions each column of `best` was. The last is the number of all."""
        with self._lock:
            return np.array([*self._numbers, self._count] if self._last_is_missing() else self._numbers, int)

    @property
    def stages(self) -> list[Stage]:
        """What each attack of a cascade left, in their order."""
        with self._lock:
            return list(self._stages)

    def _last_is_missing(self):
        return not self._numbers or self._numbers[-1] != self._count

    def _start(self, rows):
        with self._lock:
            self._best = np.full(len(rows), -np.inf, np.float32)
            self._count, self._columns, self._numbers, self._stages = 0, [], [], []
        return rows

    def _record(self, rows, margins):
        with self._lock:
            np.maximum.at(self._best, rows, margins)
            self._count += 1
            if _is_kept(self._count):
                self._columns.append(self._best.copy())
                self._numbers.append(self._count)

    def _stage(self, attack, rows):
        with self._lock:
            self._stages.append(Stage(attack, rows.copy()))


def _is_kept(number):
    if number <= _ALL:
        return True
    return int(_PER_OCTAVE * math.log2(number)) > int(_PER_OCTAVE * math.log2(number - 1))


def _run(function, inputs):
    return tf.numpy_function(lambda *arrays: function(*arrays) or np.int32(0), inputs, tf.int32)
