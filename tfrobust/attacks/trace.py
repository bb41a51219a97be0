"""What an attack came to, question by question: recorded at the door to the model, so that it costs no question."""

import threading
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust import balls

_ALL, _PER_OCTAVE, _OCTAVES = 64, 32, 18


def _kept() -> np.ndarray:
    """int [columns]: of the first questions each, then so many each time their number doubles, to 16 million."""
    later = np.ceil(_ALL * 2 ** (np.arange(1, _PER_OCTAVE * _OCTAVES + 1) / _PER_OCTAVE))
    return np.concatenate([np.arange(1, _ALL + 1), later]).astype(int)


QUESTIONS = _kept()  # after how many questions each column of a trace is


def questions_up_to(most: int) -> np.ndarray:
    """int [columns]: after how many questions the columns are that so many questions fill; the last is their number."""
    return np.minimum(QUESTIONS[: np.searchsorted(QUESTIONS, most) + 1], most)


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

    A question is one call of the model about an example (of a random model, the mean over its draws). Each example's are
    counted for itself, so that a trace does not depend on what else is in the batch. A trace holds one batch: the next
    `Problem(..., trace=trace)`, or the next call of a compiled function that makes one, starts it anew. Replicas need a
    trace each.

    Args:
      ball: only what is asked inside it counts, such as an attack's; None: everything does.

    Example:
      >>> trace = Trace()
      >>> adversarial = pgd(balls.Linf(0.1)).solve(Problem(model, images, labels, keys=keys, trace=trace))
      >>> trace.best()[:, -1] > 0  # which examples were a success at some question
    """

    def __init__(self, ball: balls.Ball | None = None):
        self.ball = ball
        self._lock = threading.Lock()
        self._start(np.zeros(0, np.int32))

    # ---- while the attack runs ----

    def start(self, rows: tf.Tensor) -> tf.Tensor:
        """Starts anew with these examples, int32 [examples] = 0, 1, …; returns them: whoever uses them asks after it."""
        return tf.ensure_shape(tf.numpy_function(self._start, [rows], tf.int32), rows.shape)

    def record(self, rows: tf.Tensor, margins: tf.Tensor) -> tf.Operation:
        """One question: the margins, float32 [rows], of these examples, int32 [rows], which may repeat."""
        return _run(self._record, [rows, tf.stop_gradient(margins)])

    def stage(self, attack: str, rows_standing: tf.Tensor) -> tf.Operation:
        """An attack of a cascade has left these rows, int32 [standing]."""
        return _run(lambda rows: self._stage(attack, rows), [rows_standing])

    # ---- afterwards ----

    def best(self) -> np.ndarray:
        """float32 [examples, columns]: the best margin so far, positive from the first success on; -inf: none inside the ball.

        An example that has been asked about less often than others keeps what it had. Of a model that gives labels, 1 for
        a success and -1 for none.
        """
        with self._lock:
            return np.maximum.accumulate(self._best[:, : len(self._questions())], axis=1)

    def questions(self) -> np.ndarray:
        """int [columns]: after how many questions about an example each column of `best` was. The last is the most of any."""
        with self._lock:
            return self._questions()

    def asked(self) -> np.ndarray:
        """int [examples]: how many questions there were about each."""
        with self._lock:
            return self._asked.copy()

    @property
    def stages(self) -> list[Stage]:
        """What each attack of a cascade left, in their order."""
        with self._lock:
            return list(self._stages)

    def _questions(self):
        return questions_up_to(self._asked.max(initial=0))

    def _start(self, rows):
        with self._lock:
            self._best = np.full([len(rows), len(QUESTIONS)], -np.inf, np.float32)
            self._asked, self._stages = np.zeros(len(rows), int), []
        return rows

    def _record(self, rows, margins):
        with self._lock:
            self._asked[np.unique(rows)] += 1
            columns = np.searchsorted(QUESTIONS, self._asked[rows])
            np.maximum.at(self._best, (rows, np.minimum(columns, len(QUESTIONS) - 1)), margins)

    def _stage(self, attack, rows):
        with self._lock:
            self._stages.append(Stage(attack, rows.copy()))


def _run(function, inputs):
    return tf.numpy_function(lambda *arrays: function(*arrays) or np.int32(0), inputs, tf.int32)
