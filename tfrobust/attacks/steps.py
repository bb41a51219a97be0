"""How a gradient becomes a step: a part that `PGD` takes, and whose state goes in and comes out. And how steps grow shorter.

direction, state = optimizer.direction(norm, count, gradient, state)            x <- x + step_size * direction
"""

import abc
import dataclasses
import math

import tensorflow as tf

from tfrobust import balls
from tfrobust.attacks import fields
from tfrobust.attacks.attack import text_of

SLIDE = 0.01  # the share of values that a step in l1 changes


def half_cosine(count, steps: int, last: float) -> tf.Tensor:
    """What falls along half a cosine, from 1 before the first of so many steps to `last` after all: float32.

    Example:
      >>> half_cosine(5, 10, last=0.2).numpy()
      0.6
    """
    progress = tf.cast(count, tf.float32) / steps
    return last + (1.0 - last) * (1.0 + tf.cos(math.pi * progress)) / 2.0


def unheld(gradient, x) -> tf.Tensor:
    """The gradient without the values of x that [0, 1] holds: at 0 and to fall, or at 1 and to rise."""
    return tf.where(tf.where(gradient > 0.0, x >= 1.0, x <= 0.0), 0.0, gradient)


def _steepest(norm, gradient, share):
    """Steepest ascent; in l1, where that is a single value, the sign of the largest values, of l1 norm 1 together."""
    if norm is not balls.L1:
        return norm.steepest(gradient)
    values = math.prod(gradient.shape[1:])
    signs = balls.signs_of_largest(gradient, tf.fill(tf.shape(gradient)[:1], max(round(share * values), 1)))
    return signs / balls.per_example(tf.maximum(balls.L1.size(signs), 1.0), signs)


@dataclasses.dataclass(frozen=True)
class Optimizer(abc.ABC):
    """The abstract part."""

    def __post_init__(self):
        fields.check(self, type(self).__name__.lower())

    def __repr__(self):
        values = (
            f"{f.name}={text_of(vars(self)[f.name])}"
            for f in dataclasses.fields(self)
            if vars(self)[f.name] != f.default
        )
        return f"{type(self).__name__.lower()}({', '.join(values)})"

    @abc.abstractmethod
    def start(self, images):
        """The state before the first step, a nest of tensors like the images."""

    @abc.abstractmethod
    def direction(self, norm: type[balls.Ball], count, gradient, state):
        """Where to step.

        Args:
          norm: the norm in which a step has size 1, for those that have one.
          count: int32, how many steps were made before.
          gradient: float32 [batch, height, width, channels], of what is maximized.
          state: as `start` or the last step gave it.

        Returns:
          (direction like the gradient, state).
        """


@dataclasses.dataclass(frozen=True, repr=False)
class Steepest(Optimizer):
    """Steepest ascent: the gradient's sign in linf, the gradient of norm 1 in l2, in l1 the sign of its largest values.

    Attributes:
      share: of all values, those that a step in l1 changes, all alike (1 - q of SLIDE: Tramèr and Boneh, NeurIPS 2019).
      norm: in which a step is the steepest and has size 1; None: the ball's. Steps of l2 length 0.1, of which the ball
        clips every pixel, are the PGD of ACE's figures 10 and 11.

    Example:
      >>> attack = PGD(balls.Linf(8 / 255), steps=1000, step_size=0.1, random_start=False, optimizer=Steepest(balls.L2))
    """

    norm: fields.SmoothNorm | None = None
    _: dataclasses.KW_ONLY
    share: fields.Share = SLIDE

    def start(self, images):
        return ()

    def direction(self, norm, count, gradient, state):
        return _steepest(self.norm or norm, gradient, self.share), state


@dataclasses.dataclass(frozen=True, repr=False)
class Momentum(Optimizer):
    """Steepest ascent on the decayed sum of gradients, each of l1 norm 1 (MI-FGSM: Dong et al., CVPR 2018, eq. 6).

    Attributes:
      decay: mu, what is left of the sum after a step.
    """

    decay: fields.NonNegative = 1.0

    def start(self, images):
        return tf.zeros_like(images)

    def direction(self, norm, count, gradient, state):
        size = balls.per_example(tf.maximum(balls.L1.size(gradient), 1e-12), gradient)
        total = self.decay * state + gradient / size
        return _steepest(norm, total, SLIDE), total


@dataclasses.dataclass(frozen=True, repr=False)
class Adam(Optimizer):
    """Adam (Kingma and Ba, ICLR 2015, algorithm 1): the mean gradient over its root mean square, value by value.

    Attributes:
      first_moment, second_moment: beta_1 and beta_2, what is left of either mean after a step.
      epsilon: added to the divisor.
    """

    first_moment: fields.ProperShare = 0.9
    second_moment: fields.ProperShare = 0.999
    epsilon: fields.Positive = 1e-8

    def start(self, images):
        return tf.zeros_like(images), tf.zeros_like(images)

    def direction(self, norm, count, gradient, state):
        mean, square = state
        mean = self.first_moment * mean + (1.0 - self.first_moment) * gradient
        square = self.second_moment * square + (1.0 - self.second_moment) * tf.square(gradient)
        unbiased_mean = mean / (1.0 - self.first_moment ** tf.cast(count + 1, tf.float32))
        return unbiased_mean / self.scale(count, (mean, square)), (mean, square)

    def scale(self, count, state):
        """What the step with this number, after which the state is `state`, divided the mean gradient by."""
        unbiased_square = state[1] / (1.0 - self.second_moment ** tf.cast(count + 1, tf.float32))
        return tf.sqrt(unbiased_square) + self.epsilon
