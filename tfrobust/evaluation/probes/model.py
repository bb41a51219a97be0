"""A target in this process, as the probes ask it: logits, slopes, and what its graph holds."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust.attacks import Access, Problem
from tfrobust.evaluation import batches, devices
from tfrobust.evaluation.called import CalledModel
from tfrobust.targets import Target


class Slopes(NamedTuple):
    """The margin of each image, to first order: the likeliest wrong class's logit minus the label's.

    Attributes:
      logits: float32 [examples, classes].
      weights: float32 [examples, classes]: 1 for that wrong class, -1 for the label; `logits @ weights` is the margin.
      gradient: of the margin with respect to the image, float32 [examples, height, width, channels].
    """

    logits: np.ndarray
    weights: np.ndarray
    gradient: np.ndarray


class AskedModel:
    """A target as the probes ask it, about batches of any size, on all devices of the current strategy.

    Where it is a TensorFlow function, it is compiled once.

    Args:
      target: what is asked.
      image_shape: (height, width, channels).
      batch_size: images at a time.
    """

    def __init__(self, target: Target, image_shape, batch_size: int):
        self.in_graph, self.batch_size = target.in_graph, batch_size
        self.resolution = target.resolution
        self.differentiable = target.in_graph and target.access >= Access.WHITE_BOX
        self._target, self.logits_fn, self._ask = target, target.logits_fn, target.logits_fn
        if not self.in_graph:
            return
        images = tf.TensorSpec([None, *image_shape], tf.float32)
        self._traced = tf.function(functools.partial(target.logits_fn), input_signature=[images], autograph=False)
        self.logits_fn = self._traced
        self._ask = devices.shared(target.logits_fn, self.logits_fn)
        slopes = functools.partial(_slopes, target.logits_fn)
        specifications = [images, tf.TensorSpec([None], tf.int32)]
        self._slopes = devices.shared(slopes, tf.function(slopes, input_signature=specifications, autograph=False))

    @property
    def graph(self) -> tf.Graph:
        """What was traced, where it is `in_graph`."""
        return self._traced.get_concrete_function().graph

    def logits(self, images) -> np.ndarray:
        """float32 [examples, classes], of images or what gives rows of them."""
        rows = np.arange(len(images))
        return np.concatenate([self.ask(images[some])[:count] for some, count in batches.padded(self.batch_size, rows)])

    def ask(self, batch: np.ndarray) -> np.ndarray:
        """The same of one batch of any size, of which each device sees its part at once."""
        return tf.cast(self._ask(tf.constant(batch)), tf.float32).numpy()

    def compiled(self, function: Callable) -> Callable:
        """A function of the target's `logits_fn` and of a batch of tensors, as one of the batch alone."""
        if not self.in_graph and self._target.local:
            return CalledModel(self._target).compiled(function)
        if not self.in_graph:
            return functools.partial(function, self.logits_fn)
        alone = tf.function(functools.partial(function, self.logits_fn), autograph=False)
        return devices.shared(functools.partial(function, self._target.logits_fn), alone)

    def slopes(self, images: np.ndarray, labels: np.ndarray) -> Slopes:
        """`Slopes` of one batch of any size."""
        return Slopes(*(part.numpy() for part in self._slopes(tf.constant(images), tf.constant(labels, tf.int32))))


def _slopes(logits_fn, images, labels):
    logits, pullback = Problem(logits_fn, images, labels).pullback(images)
    is_label = tf.one_hot(labels, logits.shape[1])
    rivals = tf.argmax(tf.where(is_label > 0.0, tf.constant(float("-inf")), logits), axis=1)
    weights = tf.one_hot(rivals, logits.shape[1]) - is_label
    return logits, weights, pullback(weights)
