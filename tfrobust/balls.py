"""Norm balls: every fact about a norm that an attack needs, in one place.

A ball is a frozen value such as `Linf(8 / 255)`. It acts on perturbations `delta`, float32 [batch, height, width,
channels] on the [0, 1] pixel scale, and treats each example on its own:

  size(delta)         the norm of each example, float32 [batch]
  dual(gradient)      the dual norm, which turns a margin into the distance to a linear boundary
  steepest(gradient)  the perturbation of size 1 that increases a linear function most
  contains(delta)     which examples lie inside, bool [batch]
  project(delta)      the nearest perturbation inside the ball (Euclidean distance)
  nearest(delta, r)   the same with a radius for each example
  nearest_image(x, clean, r)  the image in [0, 1], and in the ball around a clean one, that is nearest to x
  sample(seeds, ...)  uniform draws from the ball

The norm itself is the class (`Linf.size(delta)`, no radius needed); the instance adds the radius.
"""

import abc
import dataclasses
import math
import numbers
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfrobust import seeds as seeds_lib
from tfrobust.errors import InputError

_ROUNDING = 2.0**-22  # of sums in float32, as a share of them
_TINY = 1e-12  # keeps 0 / 0 at 0 and is far below any norm of an image gradient in float32


def per_example(values: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """Reshapes [batch] so that it broadcasts against [batch, ...]."""
    return tf.reshape(values, [-1] + [1] * (len(images.shape) - 1))


def number_text(value: float) -> str:
    """The shortest text that reads as exactly this number: `0.1`, or `8/255` for a number of 8-bit levels."""
    levels = round(value * 255) if math.isfinite(value) else 0
    return f"{levels}/255" if levels / 255 == value and len(repr(value)) > 8 else repr(value)


def _for_each(radius, values):
    """A number as it is, or one for each example so that it broadcasts against values."""
    return per_example(radius, values) if tf.is_tensor(radius) else radius


def _confined(delta, free):
    return delta if free is None else tf.where(free, delta, 0.0)


def _dimensions(shape, free):
    return float(math.prod(shape)) if free is None else tf.maximum(tf.math.count_nonzero(free, dtype=tf.float32), 1.0)


def _axes(images):
    return list(range(1, len(images.shape)))


def _shrunk(magnitudes, room, radius):
    """Magnitudes less a threshold, from 0 to the room that each has, whose sum is at most the radius.

    The sum falls with the threshold, piecewise linearly: Newton's steps find the one that leaves the radius, and halvings
    where such a step leads out of the interval that is known to hold it.
    """

    def left(threshold):
        return tf.clip_by_value(magnitudes - per_example(threshold, magnitudes), 0.0, room)

    def search(low, high, threshold, _):
        kept = left(threshold)
        excess = tf.reduce_sum(kept, _axes(kept)) - radius
        falling = tf.reduce_sum(tf.cast((kept > 0.0) & (kept < room), tf.float32), _axes(kept))
        low, high = tf.where(excess > 0.0, threshold, low), tf.where(excess > 0.0, high, threshold)
        step = threshold + excess / tf.maximum(falling, 1.0)
        usable = (step > low) & (step < high) | (step == threshold)  # which ends it: the rest is below rounding
        further = tf.where((falling > 0.0) & usable, step, (low + high) / 2.0)
        search_on = (tf.abs(excess) > radius * _ROUNDING) & (further > low) & (further < high)
        return low, high, tf.where(search_on, further, threshold), search_on

    largest = Linf.size(magnitudes)
    zero = tf.zeros_like(largest)
    start = search(zero, largest, zero, None)
    threshold = tf.while_loop(lambda *state: tf.reduce_any(state[-1]), search, start, maximum_iterations=60)[2]
    return left(tf.where(radius > 0.0, threshold, largest))


def least_needed(magnitudes: tf.Tensor, parts: tf.Tensor, amount: tf.Tensor) -> tf.Tensor:
    """The magnitude down to which, from the largest, parts have to be taken until they sum up to an amount: float32 [batch].

    It is the k-th largest, where the parts are 1 and the amount is k: found without sorting, by halving the interval of the
    bits of such a number, which are ordered as non-negative numbers are.

    Args:
      magnitudes: float32 [batch, ...], not negative.
      parts: float32 [batch, ...] or a number, not negative.
      amount: float32 [batch]. Where it is more than all parts, the result is 0.

    Example:
      >>> least_needed(tf.constant([[0.1, 0.4, 0.3]]), tf.constant([[5.0, 2.0, 2.0]]), tf.constant([3.0])).numpy()
      array([0.3], dtype=float32)
    """
    bits = tf.bitcast(magnitudes, tf.int32)

    def halve(low, high):
        middle = low + (high - low) // 2
        taken = tf.reduce_sum(parts * tf.cast(bits >= per_example(middle, bits), tf.float32), _axes(bits))
        return tf.where(taken >= amount, middle, low), tf.where(taken >= amount, high, middle)

    high = tf.reduce_max(bits, _axes(bits)) + 1
    low, _ = tf.while_loop(lambda low, high: tf.reduce_any(high - low > 1), halve, (tf.zeros_like(high), high))
    return tf.bitcast(low, tf.float32)


def signs_of_largest(values: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
    """The signs of each example's values of largest magnitude, 0 elsewhere: float32, like the values.

    Args:
      values: float32 [batch, ...].
      counts: int32 [batch], from 1 to the number of values. Ties with the last may make it a few more.
    """
    magnitudes = tf.abs(values)
    least = least_needed(magnitudes, 1.0, tf.cast(counts, tf.float32))
    return tf.where(magnitudes >= per_example(least, values), tf.sign(values), 0.0)


@dataclasses.dataclass(frozen=True)
class Ball(abc.ABC):
    """All perturbations whose norm is at most `radius` on the [0, 1] pixel scale."""

    radius: float

    def __post_init__(self):
        radius = self.radius
        real = isinstance(radius, numbers.Real) and not isinstance(radius, bool)
        if not (real and math.isfinite(radius) and radius >= 0):
            raise InputError(
                f"a radius is a finite number >= 0 on the [0, 1] pixel scale, such as 8/255; got {radius!r}"
            )
        plain = int(radius) if isinstance(radius, numbers.Integral) else float(radius)  # NumPy's scalars are welcome
        object.__setattr__(self, "radius", plain)

    def __str__(self):
        return f"{type(self).__name__.lower()}({number_text(self.radius)})"

    @staticmethod
    @abc.abstractmethod
    def size(delta: tf.Tensor) -> tf.Tensor:
        """The norm of each example: float32 [batch]."""

    @staticmethod
    @abc.abstractmethod
    def dual(gradient: tf.Tensor) -> tf.Tensor:
        """The dual norm of each example: float32 [batch]."""

    @staticmethod
    @abc.abstractmethod
    def steepest(gradient: tf.Tensor) -> tf.Tensor:
        """argmax of <gradient, delta> over all delta of size 1; zero where the gradient is zero."""

    def contains(self, delta: tf.Tensor) -> tf.Tensor:
        """Which perturbations lie inside: bool [batch]. 1e-6 of the radius and the rounding of float32 pixels is allowed."""
        rounding = self.size(tf.fill(tf.shape(delta[:1]), 2.0**-24))[0]
        return self.size(delta) <= self.radius * (1 + 1e-6) + rounding

    def project(self, delta: tf.Tensor) -> tf.Tensor:
        """The nearest perturbation inside the ball."""
        return self.nearest(delta, self.radius)

    @staticmethod
    @abc.abstractmethod
    def nearest(delta: tf.Tensor, radius: float | tf.Tensor) -> tf.Tensor:
        """The nearest perturbation whose size is at most a number, or one for each example, float32 [batch]."""

    @classmethod
    def nearest_image(cls, x: tf.Tensor, clean: tf.Tensor, radius: float | tf.Tensor) -> tf.Tensor:
        """The image in [0, 1] that is nearest to x of those whose distance to a clean one is at most `radius`.

        Nearest in linf and l1; in l2 and l0 the two projections one after the other, as attacks have it.

        Args:
          x, clean: float32 [batch, height, width, channels].
          radius: a number, or one for each example, float32 [batch].
        """
        return tf.clip_by_value(clean + cls.nearest(x - clean, radius), 0.0, 1.0)

    @abc.abstractmethod
    def sample(self, seeds: tf.Tensor, shape: Sequence[int], free: tf.Tensor | None = None) -> tf.Tensor:
        """Uniform draws from the ball.

        Args:
          seeds: int32 [batch, 2].
          shape: of an image.
          free: bool [*shape], the values that may change: from the ball of these alone, 0 elsewhere. None: all.

        Returns:
          float32 [batch, *shape].
        """


@dataclasses.dataclass(frozen=True)
class Linf(Ball):
    """The largest change of any one value. A radius above 1 is refused: it covers every image.

    Example:
      >>> Linf(0.1).project(tf.constant([[[[0.3]]]])).numpy().item()
      0.1...
    """

    def __post_init__(self):
        super().__post_init__()
        if self.radius > 1:
            raise InputError(
                f"a linf radius is on the [0, 1] pixel scale, and {self.radius:g} covers every image: did you mean "
                f"linf({self.radius:g}/255)?"
            )

    @staticmethod
    def size(delta: tf.Tensor) -> tf.Tensor:
        return tf.reduce_max(tf.abs(delta), _axes(delta))

    @staticmethod
    def dual(gradient: tf.Tensor) -> tf.Tensor:
        return L1.size(gradient)

    @staticmethod
    def steepest(gradient: tf.Tensor) -> tf.Tensor:
        return tf.sign(gradient)

    @staticmethod
    def nearest(delta: tf.Tensor, radius: float | tf.Tensor) -> tf.Tensor:
        radius = _for_each(radius, delta)
        return tf.clip_by_value(delta, -radius, radius)

    def sample(self, seeds: tf.Tensor, shape: Sequence[int], free: tf.Tensor | None = None) -> tf.Tensor:
        return _confined(self.radius * (2.0 * seeds_lib.uniform(seeds, shape) - 1.0), free)


@dataclasses.dataclass(frozen=True)
class L2(Ball):
    """The Euclidean norm."""

    @staticmethod
    def size(delta: tf.Tensor) -> tf.Tensor:
        # Not below _TINY: the square root has no derivative at 0, and Deep Defense differentiates this.
        return tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(delta), _axes(delta)), _TINY**2))

    @staticmethod
    def dual(gradient: tf.Tensor) -> tf.Tensor:
        return L2.size(gradient)

    @staticmethod
    def steepest(gradient: tf.Tensor) -> tf.Tensor:
        return gradient / per_example(tf.maximum(L2.size(gradient), _TINY), gradient)

    @staticmethod
    def nearest(delta: tf.Tensor, radius: float | tf.Tensor) -> tf.Tensor:
        return delta * per_example(tf.minimum(1.0, radius / tf.maximum(L2.size(delta), _TINY)), delta)

    def sample(self, seeds: tf.Tensor, shape: Sequence[int], free: tf.Tensor | None = None) -> tf.Tensor:
        """A uniform direction times `radius * u ** (1 / dimensions)`."""
        direction = L2.steepest(_confined(seeds_lib.normal(seeds_lib.fold_in(seeds, 0), shape), free))
        draws = seeds_lib.uniform(seeds_lib.fold_in(seeds, 1), [16])  # a full vector for each example: see seeds.normal
        fraction = (draws ** (1.0 / _dimensions(shape, free)))[:, 0]
        return self.radius * direction * per_example(fraction, direction)


@dataclasses.dataclass(frozen=True)
class L1(Ball):
    """The sum of absolute changes."""

    @staticmethod
    def size(delta: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.abs(delta), _axes(delta))

    @staticmethod
    def dual(gradient: tf.Tensor) -> tf.Tensor:
        return Linf.size(gradient)

    @staticmethod
    def steepest(gradient: tf.Tensor) -> tf.Tensor:
        flat = tf.reshape(gradient, [tf.shape(gradient)[0], -1])
        largest = tf.one_hot(tf.argmax(tf.abs(flat), axis=1), tf.shape(flat)[1])
        return tf.reshape(largest * tf.sign(flat), tf.shape(gradient))

    @staticmethod
    def nearest(delta: tf.Tensor, radius: float | tf.Tensor) -> tf.Tensor:
        """Soft-thresholding (Duchi et al., ICML 2008)."""
        return tf.sign(delta) * _shrunk(tf.abs(delta), float("inf"), radius)

    @classmethod
    def nearest_image(cls, x: tf.Tensor, clean: tf.Tensor, radius: float | tf.Tensor) -> tf.Tensor:
        """Soft-thresholding, cut off where the box ends (Croce and Hein, ICML 2021, "Mind the box", proposition 2.1)."""
        delta = x - clean
        return clean + tf.sign(delta) * _shrunk(tf.abs(delta), tf.where(delta > 0.0, 1.0 - clean, clean), radius)

    def sample(self, seeds: tf.Tensor, shape: Sequence[int], free: tf.Tensor | None = None) -> tf.Tensor:
        """Normalized exponential gaps: uniform on the simplex of dimension n + 1, then random signs."""
        count = math.prod(shape) + 1
        draws = seeds_lib.uniform(seeds_lib.fold_in(seeds, 0), [count + -count % 16])  # full vectors: see seeds.normal
        gaps = -tf.math.log1p(-draws)[:, :count]
        if free is not None:
            gaps *= tf.cast(tf.concat([tf.reshape(free, [-1]), [True]], axis=0), tf.float32)
        gaps = gaps / tf.reduce_sum(gaps, axis=1, keepdims=True)
        signs = tf.sign(seeds_lib.uniform(seeds_lib.fold_in(seeds, 1), shape) - 0.5)
        return self.radius * signs * tf.reshape(gaps[:, :-1], tf.shape(signs))


@dataclasses.dataclass(frozen=True)
class L0(Ball):
    """The number of changed pixels (all channels of a pixel count once); `radius` is that number.

    Not a norm: values are bounded only by the image range, so `steepest` moves the `radius`-independent
    single most useful pixel by the sign of its gradient.
    """

    @staticmethod
    def size(delta: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.cast(tf.reduce_any(delta != 0.0, axis=-1), tf.float32), _axes(delta)[:-1])

    def contains(self, delta: tf.Tensor) -> tf.Tensor:
        return self.size(delta) <= self.radius

    @staticmethod
    def dual(gradient: tf.Tensor) -> tf.Tensor:
        return tf.reduce_max(tf.reduce_sum(tf.abs(gradient), axis=-1), _axes(gradient)[:-1])

    @staticmethod
    def steepest(gradient: tf.Tensor) -> tf.Tensor:
        return tf.sign(_keep_pixels(gradient, 1))

    @staticmethod
    def nearest(delta: tf.Tensor, radius: float | tf.Tensor) -> tf.Tensor:
        if not tf.is_tensor(radius):
            return _keep_pixels(delta, int(radius))
        strength = tf.reshape(tf.reduce_sum(tf.abs(delta), axis=-1), [tf.shape(delta)[0], -1])
        order = tf.argsort(strength, axis=1, direction="DESCENDING", stable=True)
        places = tf.argsort(order, axis=1)  # of each pixel among those of its image
        kept = tf.cast(places, tf.float32) < _for_each(tf.floor(radius), strength)
        return tf.where(tf.reshape(kept, [*tf.unstack(tf.shape(delta))[:-1], 1]), delta, 0.0)

    def sample(self, seeds: tf.Tensor, shape: Sequence[int], free: tf.Tensor | None = None) -> tf.Tensor:
        """Uniform values in [-1, 1] on `radius` pixels chosen at random."""
        values = _confined(2.0 * seeds_lib.uniform(seeds_lib.fold_in(seeds, 0), shape) - 1.0, free)
        scores = seeds_lib.uniform(seeds_lib.fold_in(seeds, 1), [*shape[:-1], 1])
        scores = scores if free is None else _confined(scores, tf.reduce_any(free, axis=-1, keepdims=True))
        return values * tf.cast(_keep_pixels(scores, int(self.radius)) > 0.0, tf.float32)


def _keep_pixels(delta, count):
    """Keeps the `count` pixels of largest total magnitude and sets the others to zero."""
    shape = tf.shape(delta)
    strength = tf.reshape(tf.reduce_sum(tf.abs(delta), axis=-1), [shape[0], -1])
    chosen = tf.math.top_k(strength, tf.minimum(count, tf.shape(strength)[1])).indices
    kept = tf.reduce_sum(tf.one_hot(chosen, tf.shape(strength)[1]), axis=1)
    return delta * tf.reshape(kept, tf.concat([shape[:-1], [1]], axis=0))


def relative_size(
    norm: type[Ball], delta: tf.Tensor, images: tf.Tensor, origin: float | np.ndarray | tf.Tensor = 0.0
) -> tf.Tensor:
    """||delta|| / ||images - origin|| per example: rho of Deep Defense, eq. 7. An image that is the origin divides by 0.

    Args:
      norm: a ball's class, such as `L2`.
      delta, images: float32 [batch, height, width, channels].
      origin: the image that preprocessing maps to zero.

    Returns:
      float32 [batch].
    """
    return norm.size(delta) / norm.size(images - tf.cast(origin, images.dtype))
