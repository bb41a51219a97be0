"""Adam (Kingma and Ba, ICLR 2015, algorithm 1), for attacks whose state goes through a loop."""

import tensorflow as tf

_FIRST_MOMENT, _SECOND_MOMENT, _EPSILON = 0.9, 0.999, 1e-8


def step(count, mean, square, gradient, learning_rate):
    """One step.

    Args:
      count: int32, how many steps were made before.
      mean, square: the two moments of the gradient so far, zero to begin with.
      gradient: of the same shape.
      learning_rate: a float.

    Returns:
      (what to add for ascent or subtract for descent, the new mean, the new square).
    """
    count = tf.cast(count + 1, tf.float32)
    mean = _FIRST_MOMENT * mean + (1.0 - _FIRST_MOMENT) * gradient
    square = _SECOND_MOMENT * square + (1.0 - _SECOND_MOMENT) * tf.square(gradient)
    unbiased_mean = mean / (1.0 - _FIRST_MOMENT**count)
    unbiased_square = square / (1.0 - _SECOND_MOMENT**count)
    return learning_rate * unbiased_mean / (tf.sqrt(unbiased_square) + _EPSILON), mean, square
