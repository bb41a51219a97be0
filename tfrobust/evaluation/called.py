"""Compiled attacks on models of this process that are no TensorFlow functions: the graph calls them for each question.

Eagerly, an attack of many small steps spends most of its time between the questions (docs/results.md).
"""

import concurrent.futures
import threading
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfrobust.attacks import Access
from tfrobust.targets import Target

_LOOK = 0.2  # seconds between looks at whether the waiting thread was interrupted


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
        self._rest: list[int] | None = None  # of its answers' shape, behind the batch; None until it was asked
        self._type = tf.int32 if target.access is Access.DECISION_BASED else tf.float32

    def logits_fn(self, images: tf.Tensor) -> tf.Tensor:
        """The target's answers, in a graph."""
        found = tf.numpy_function(self._answers, [images], self._type)
        return tf.ensure_shape(found, [images.shape[0], *(self._rest or [])])

    def compiled(self, function: Callable) -> Callable:
        """A function of tensors [batch, ...] that asks the model, compiled once for batches of any size.

        It runs in a thread of its own, so that the one that called it can be interrupted, and raises what the model raises.
        """
        traced = tf.function(function, autograph=False)

        def call(*arrays):
            if self._rest is None:
                self._rest = list(np.shape(self._target.logits(arrays[0].numpy()[:1]))[1:])
            graph = traced.get_concrete_function(*[tf.TensorSpec([None, *one.shape[1:]], one.dtype) for one in arrays])
            with concurrent.futures.ThreadPoolExecutor(1) as thread:
                made = thread.submit(graph, *arrays)
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

    def _answers(self, images):
        try:
            with self._turn:
                if self._stopped:
                    raise concurrent.futures.CancelledError
                self.asked += len(images)
                return np.asarray(self._target.logits(images), self._type.as_numpy_dtype)
        except BaseException as error:
            self._raised = error
            raise
