"""What every target is: something that maps images to logits, and a word for what an attacker gets from it."""

import abc

import numpy as np
import tensorflow as tf

from tfrobust.errors import InputError

# From most to least: an attack that needs one of these also works with anything further left.
GIVES = ("gradients", "scores", "labels")


class Target(abc.ABC):
    """Something to attack.

    Attributes:
      name: the path or address, for reports.
      gives: "gradients" (a TensorFlow graph that can be differentiated), "scores" (numbers only) or "labels".
      input_shape: (height, width, channels); None where the target does not say.
      origin: the image that its preprocessing maps to zero; None where the target does not say.
    """

    gives = "scores"
    origin = None

    def __init__(self, name, input_shape):
        self.name = str(name)
        self.input_shape = tuple(input_shape)

    @abc.abstractmethod
    def logits(self, images):
        """float32 images [batch, height, width, channels] in [0, 1] -> logits [batch, classes].

        A TensorFlow function of a tensor where `gives` is "gradients", else NumPy to NumPy.
        """

    def check(self, images):
        """Raises `InputError` for images of another shape than the target takes."""
        expected = [size or got for size, got in zip(self.input_shape, images.shape[1:])]
        if list(images.shape[1:]) != expected:
            raise InputError(f"{self.name} takes images of shape {self.input_shape}, got {tuple(images.shape[1:])}")

    def predictor(self):
        """A compiled function from images to logits, both NumPy. Compile once, call with one batch size."""
        if self.gives == "gradients":
            compiled = tf.function(self.logits, reduce_retracing=True)
            return lambda images: compiled(tf.constant(images)).numpy()
        return self.logits

    def allows(self, attack):
        """Whether the target gives what the attack needs."""
        return GIVES.index(self.gives) <= GIVES.index(attack.needs)


def first_line(error):
    """The first line of an exception's message, for a one-line error of our own."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def check_logits(logits, name):
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
