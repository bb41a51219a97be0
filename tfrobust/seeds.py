"""Explicit, stateless randomness: one seed per example.

A per-example seed is a pair of int32 numbers made from the user's seed and the example's index in the data set.
Every random draw of an attack starts from it, so an example gets the same draws whatever batch, order or
replica it is processed in.
"""

import tensorflow as tf


def per_example(seed, indices):
    """Folds one seed with each example's index.

    Args:
      seed: a Python int, or an int32 tensor [2].
      indices: int tensor [batch], the examples' positions in the data set.

    Returns:
      int32 tensor [batch, 2].

    Example:
      >>> per_example(7, tf.range(3)).shape
      TensorShape([3, 2])
    """
    base = tf.convert_to_tensor([seed, 0] if isinstance(seed, int) else seed, tf.int32)
    return tf.map_fn(lambda index: tf.random.experimental.stateless_fold_in(base, index), tf.cast(indices, tf.int32))


def resolve(seed, images):
    """Per-example seeds for a batch: `seed` itself if it already is int32 [batch, 2], else folded with 0, 1, 2, ..."""
    if isinstance(seed, int):
        return per_example(seed, tf.range(tf.shape(images)[0]))
    return seed


def fold_in(seeds, data):
    """Derives the seeds of one purpose (a restart, a step): int32 [batch, 2] -> int32 [batch, 2]."""
    return tf.map_fn(lambda seed: tf.random.experimental.stateless_fold_in(seed, data), seeds)


def uniform(seeds, shape):
    """Uniform draws on [0, 1): float32 [batch, *shape], one independent stream per example."""
    return _draw(tf.random.stateless_uniform, seeds, shape)


def normal(seeds, shape):
    """Standard normal draws: float32 [batch, *shape], one independent stream per example."""
    return _draw(tf.random.stateless_normal, seeds, shape)


def _draw(distribution, seeds, shape):
    return tf.map_fn(lambda seed: distribution(shape, seed), seeds, fn_output_signature=tf.float32)
