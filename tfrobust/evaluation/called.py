"""Compiled attacks on models of this process that are no TensorFlow functions: the graph calls them for each question.

Eagerly, an attack of many small steps spends most of its time between the questions (docs/results.md). Compiling takes
longer than a short attack: a graph does not say which model it asks, and is there for the next one.
"""

import concurrent.futures
import dataclasses
import functools
import threading
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfrobust.attacks import Access
from tfrobust.evaluation import identity
from tfrobust.targets import Target

_LOOK = 0.2  # seconds between looks at whether the waiting thread was interrupted
_KEPT = 8  # graphs


class CalledModel:
    """A target as a graph asks it. About one image it is asked once more, for the number of its classes.

    Args:
      target: one whose `logits` take and give NumPy arrays, in any thread.

    Attributes:
      asked: how many images a graph has asked about. A variable of the graph would not do: beside one, TensorFlow no longer
        calls Python in the order in which the graph was written.
    """

    def __init__(self, target: Target):
        self.asked = 0
        self._target, self._stopped, self._turn = target, False, threading.Lock()
        self._raised: BaseException | None = None
        self._answer_shape: tuple[int, ...] | None = None  # behind the batch; None until it was asked
        self._type = tf.int32 if target.access is Access.DECISION_BASED else tf.float32

    def compiled(self, function: Callable) -> Callable:
        """A function of tensors [batch, ...], compiled once for batches of any size and all models that answer alike.

        It runs in a thread of its own, so that the one that called it can be interrupted, and raises what the model raises.

        Args:
          function: of a function from images to the model's answers, and of these tensors. Where another one has the same
            `identity.text`, its graph is taken.
        """
        same = _Function(identity.text(function), function)

        def call(*arrays):
            given = tuple(tf.TensorSpec([None, *one.shape[1:]], one.dtype) for one in arrays)
            graph = _graph(same, given, self._spec(arrays[0].numpy()))
            with concurrent.futures.ThreadPoolExecutor(1) as thread:
                made = thread.submit(graph.run, self, arrays)
                try:
                    while not concurrent.futures.wait([made], timeout=_LOOK).done:
                        pass
                    return made.result()
                except tf.errors.OpError as error:
                    raise (self._raised or error) from None
                except BaseException:
                    self._stopped = True  # before its next question
                    raise

        return call

    def answers(self, images: np.ndarray) -> np.ndarray:
        """What a graph is told."""
        try:
            with self._turn:
                if self._stopped:
                    raise concurrent.futures.CancelledError
                self.asked += len(images)
                return np.asarray(self._target.logits(images), self._type.as_numpy_dtype)
        except BaseException as error:
            self._raised = error
            raise

    def _spec(self, images):
        """Of its answers."""
        if self._answer_shape is None:
            self._answer_shape = np.shape(self._target.logits(images[:1]))[1:]
        return tf.TensorSpec([None, *self._answer_shape], self._type)


@dataclasses.dataclass(frozen=True)
class _Function:
    """A function by what it does."""

    text: str
    function: Callable = dataclasses.field(compare=False)


class _Graph:
    """A compiled function, which asks the model that it is run for."""

    def __init__(self, function: Callable, given: tuple[tf.TensorSpec, ...], answers: tf.TensorSpec):
        self._asked: CalledModel | None = None
        self._free = threading.Lock()

        def ask(images):
            found = tf.numpy_function(self._answers, [images], answers.dtype)
            return tf.ensure_shape(found, [images.shape[0], *answers.shape[1:]])

        traced = tf.function(functools.partial(function, ask), autograph=False)
        self._compiled = traced.get_concrete_function(*given)

    def run(self, model: CalledModel, arrays: tuple[tf.Tensor, ...]):
        """What the function makes of the arrays with this model."""
        with self._free:
            self._asked = model
            try:
                return self._compiled(*arrays)
            finally:
                self._asked = None

    def _answers(self, images):
        assert self._asked is not None
        return self._asked.answers(images)


@functools.lru_cache(_KEPT)
def _graph(same: _Function, given: tuple[tf.TensorSpec, ...], answers: tf.TensorSpec) -> _Graph:
    return _Graph(same.function, given, answers)
