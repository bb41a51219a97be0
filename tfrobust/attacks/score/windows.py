"""Intervals of rows or columns, of which random searches make the squares that they change."""

import tensorflow as tf


def offsets(first, size: int) -> tf.Tensor:
    """Of each of `size` places, how far it is behind the first of an interval: int32 [batch, size], of int32 [batch]."""
    return tf.range(size)[None] - first[:, None]


def covered(offset, side) -> tf.Tensor:
    """Which places lie in an interval of so many: bool like their `offsets`; `side` is a number or int32 [batch]."""
    return (offset >= 0) & (offset < tf.reshape(side, [-1, 1]))


def random_window(draws, side, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Which of `size` places an interval covers that begins at random, and their offsets in it.

    Args:
      draws: float32 [batch], uniform in [0, 1).
      side: places of the interval, int32, a number or [batch].
      size: of the whole.

    Returns:
      (bool [batch, size], int32 [batch, size]).
    """
    offset = offsets(tf.cast(draws * tf.cast(size - side + 1, tf.float32), tf.int32), size)
    return covered(offset, side), offset
