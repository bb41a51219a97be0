"""What every target is: something that maps images to logits, and the access that it allows an attacker."""

import abc
from collections.abc import Callable
from typing import Self

import numpy as np
import tensorflow as tf

from tfrobust.attacks import Access
from tfrobust.errors import InputError


class Target(abc.ABC):
    """Something to attack.

    Attributes:
      name: the path or address, for reports.
      access: what an attacker gets: white-box (a TensorFlow graph that can be differentiated), score-based (the
        logits) or decision-based (the predicted labels). Each allows the attacks of those below it.
      input_shape: (height, width, channels); None where the target does not say.
      origin: the image that its preprocessing maps to zero; None where the target does not say.
    """

    access: Access = Access.SCORE_BASED
    origin: np.ndarray | None = None

    def __init__(self, name, input_shape):
        self.name = str(name)
        self.input_shape = tuple(input_shape)

    @abc.abstractmethod
    def logits(self, images):
        """float32 images [batch, height, width, channels] in [0, 1] -> logits [batch, classes].

        A TensorFlow function of a tensor where `in_graph`, else NumPy to NumPy.
        """

    @property
    def in_graph(self) -> bool:
        """Whether `logits` is a TensorFlow function, so that attacks on it can be compiled."""
        return self.access is Access.WHITE_BOX

    def logits_fn(self, images: tf.Tensor) -> tf.Tensor:
        """`logits` as an attack calls it: from a tensor to a tensor; eager only, unless `in_graph`."""
        return self.logits(images) if self.in_graph else tf.constant(self.logits(images.numpy()), tf.float32)

    def predictor(self) -> Callable[[np.ndarray], np.ndarray]:
        """A compiled function from images to logits, both NumPy. Compile once, call with one batch size."""
        if self.in_graph:
            compiled = tf.function(self.logits, autograph=False, reduce_retracing=True)
            return lambda images: compiled(tf.constant(images)).numpy()
        return self.logits

    def check(self, images) -> None:
        """Raises `InputError` for images of another shape than the target takes."""
        expected = [size or got for size, got in zip(self.input_shape, images.shape[1:])]
        if list(images.shape[1:]) != expected:
            raise InputError(f"{self.name} takes images of shape {self.input_shape}, got {tuple(images.shape[1:])}")

    def allows(self, attack) -> bool:
        """Whether the target gives what the attack needs."""
        return attack.needs <= self.access

    def attacked_by(self, attack) -> Self:
        """The target that an attack runs on: this one.

        Raises:
          InputError: if the attack needs more than the target allows, saying what to do.
        """
        if self.allows(attack):
            return self
        raise InputError(
            f"{attack} needs {attack.needs} access, but {self.name} allows {self.access} attacks only: choose one that "
            "needs no more, or make it on another model of the same task and transfer it, by "
            "WithSurrogate(target, surrogate) or by the flag --source"
        )


def first_line(error: Exception) -> str:
    """The first line of an exception's message, for a one-line error of our own."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def check_logits(logits, name) -> None:
    """Raises `InputError` if a model's outputs are not logits: attacks on probabilities fail without a sign of it."""
    logits = np.asarray(logits)
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise InputError(f"{name} must give logits [batch, classes] with two classes or more, got {logits.shape}")
    if not np.all(np.isfinite(logits)):
        raise InputError(f"{name} gives NaN or infinite logits")
    if logits.min() >= 0 and logits.max() <= 1 and np.allclose(logits.sum(axis=1), 1, atol=1e-5):
        raise InputError(
            f"{name} gives probabilities, which hide gradients from attacks: remove its softmax so that it gives logits"
        )
