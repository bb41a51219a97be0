"""The 8-bit grid: what an image file can hold, for attacks on models that are shown files.

`evaluation.pixels.round_to_uint8` leaves what comes out of here as it is.
"""

import numpy as np
import tensorflow as tf

from tfrobust import balls

_LEVELS = np.arange(256, dtype="float32") / np.float32(255)
_SLACKS = (1.0, 0.999, 0.99)  # by how much more than needed a change is made smaller, before it is cut


def nearest(x) -> tf.Tensor:
    """The nearest values that an image file holds: whole numbers divided by 255, exact to the bit; NaN is 0."""
    return values(levels(x))


def levels(x) -> tf.Tensor:
    """The nearest levels of an image file, float32 whole numbers from 0 to 255 where x is in [0, 1]; NaN is 0."""
    return tf.round(255.0 * tf.where(tf.math.is_nan(x), 0.0, x))


def shown(x, images, ball: balls.Ball | None = None) -> tf.Tensor:
    """Images x as a file holds them, inside a ball around the clean ones; what is not changed stays as it is.

    The nearest values where these lie inside; else the change, made smaller by as much as they lie outside; else each
    change is cut toward the clean image, which can only shrink it. The gradient is passed straight through.

    Args:
      x: float32 [examples, height, width, channels]. NaN is shown as the clean value.
      images: the clean images, on the grid if there is a ball.
      ball: which perturbations are allowed; None: all.

    Returns:
      float32, like x.
    """
    images = tf.stop_gradient(images)

    @tf.custom_gradient
    def through(x):
        change = tf.where(tf.math.is_nan(x), 0.0, 255.0 * tf.clip_by_value(x - images, -1.0, 1.0))
        rounded = tf.where(change == 0.0, images, values(tf.round(255.0 * images + change)))
        if ball is not None:
            rounded = _inside(rounded, 255.0 * images, change, images, ball)
        return rounded, lambda upstream: upstream

    return through(x)


def _inside(rounded, clean, change, images, ball):
    """What is outside the ball brought back, by the means that loses least of the change."""

    def bring_back():
        best, smaller = rounded, change
        for slack in _SLACKS:
            size = tf.maximum(ball.size(best - images), 1e-12)
            smaller = smaller * balls.per_example(tf.minimum(slack * ball.radius / size, 1.0), change)
            best = _where_outside(best, values(tf.round(clean + smaller)), images, ball)
        # As far as a float's rounding below a whole level is that level.
        cut = tf.round(clean) + tf.cast(tf.cast(change + 1e-3 * tf.sign(change), tf.int32), tf.float32)
        return _where_outside(best, values(cut), images, ball)

    return tf.cond(tf.reduce_all(ball.contains(rounded - images)), lambda: rounded, bring_back)


def _where_outside(x, instead, images, ball):
    return tf.where(balls.per_example(ball.contains(x - images), x), x, instead)


def values(levels) -> tf.Tensor:
    """Levels from 0 to 255, float32 -> values in [0, 1]. A table: a division by a constant may be compiled inexactly."""
    return tf.gather(tf.constant(_LEVELS), tf.cast(tf.clip_by_value(levels, 0.0, 255.0), tf.int32))
