"""What keeps attacks going on models whose numbers would stop them: NaN, infinite slopes, logits too small to tell apart."""

import tensorflow as tf

from tfrobust import balls

_SMALL, _SPREAD = 6.0, 15.0  # logits whose largest and smallest are less apart are small; to what they are scaled up
_STEEP = 1e15  # an infinite slope, of which an image's l2 norm still is a number


def predicted(answers) -> tf.Tensor:
    """int32 [examples], of logits [examples, classes] or labels [examples]: -1 where a logit is NaN."""
    if answers.shape.rank == 1:
        return answers
    return tf.where(any_nan(answers), -1, tf.argmax(answers, axis=1, output_type=tf.int32))


def any_nan(logits) -> tf.Tensor:
    """bool [examples]: whose logits hold NaN."""
    return tf.reduce_any(tf.math.is_nan(logits), axis=1)


def without_nan(value, logits) -> tf.Tensor:
    """The value [examples] of some logits, minus infinity where either is NaN."""
    return tf.where(any_nan(logits) | tf.math.is_nan(value), float("-inf"), value)


def finite(gradient) -> tf.Tensor:
    """A gradient as an attack needs it: NaN is 0, and what is infinite is steep. Not a value is touched if all are."""

    def mended():
        return tf.clip_by_value(tf.where(tf.math.is_nan(gradient), 0.0, gradient), -_STEEP, _STEEP)

    return tf.cond(tf.math.is_finite(tf.reduce_sum(gradient)), lambda: gradient, mended)


def way_back(images, x, logits, gradient) -> tf.Tensor:
    """The gradient at x, where logits are NaN the way to the clean image: an attack must not stay there."""
    lost = any_nan(logits)

    def turned():
        return tf.where(balls.per_example(lost, x), images - x, gradient)

    return tf.cond(tf.reduce_any(lost), turned, lambda: gradient)


def scale(clean) -> tf.Tensor:
    """The factor of each example's logits in the cross-entropy, fixed by the clean ones: float32 [examples, 1].

    Logits as small as to make every wrong class count alike are scaled up.
    """
    spread = tf.reduce_max(clean, axis=1, keepdims=True) - tf.reduce_min(clean, axis=1, keepdims=True)
    small = (spread > 0.0) & (spread < _SMALL)
    return tf.stop_gradient(tf.where(small, _SPREAD / tf.where(small, spread, 1.0), 1.0))
