"""Explicit, stateless randomness: one seed per example.

A per-example seed is the pair (user's seed, example's index in the data set) of int32 numbers; TensorFlow's stateless
generators turn each pair into an independent stream.
Every random draw of an attack starts from it, so an example gets the same draws whatever batch, order or
replica it is processed in.
"""

import tensorflow as tf


def per_example(seed, indices):
    """Pairs one seed with each example's index.

    Args:
      seed: a Python int.
      indices: int tensor [batch], the examples' positions in the data set.

    Returns:
      int32 tensor [batch, 2].

    Example:
      >>> per_example(7, tf.range(3)).shape
      TensorShape([3, 2])
    """
    indices = tf.cast(indices, tf.int32)
    return tf.stack([tf.fill(tf.shape(indices), tf.cast(seed, tf.int32)), indices], axis=1)


def resolve(seed, images):
    """Per-example seeds for a batch: `seed` itself if it already is int32 [batch, 2], else folded with 0, 1, 2, ..."""
    if isinstance(seed, int):
        return per_example(seed, tf.range(tf.shape(images)[0]))
    return seed


def fold_in(seeds, purpose):
    """Derives the seeds of one purpose (a restart, a step): int32 [batch, 2] and an int -> int32 [batch, 2].

    The first number goes through MurmurHash3's 32-bit finaliser, a bijection: examples keep distinct seeds.
    """
    first = tf.bitcast(seeds[:, 0], tf.uint32) + tf.cast(purpose, tf.uint32) * tf.constant(0x9E3779B9, tf.uint32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        shifted = tf.bitwise.right_shift(first, tf.constant(shift, tf.uint32))
        first = tf.bitwise.bitwise_xor(first, shifted) * tf.constant(factor, tf.uint32)
    return tf.stack([tf.bitcast(first, tf.int32), seeds[:, 1]], axis=1)


def uniform(seeds, shape):
    """Uniform draws on [0, 1): float32 [batch, *shape], one independent stream per example."""
    return _draw(tf.random.stateless_uniform, seeds, shape)


def normal(seeds, shape):
    """Standard normal draws: float32 [batch, *shape], one independent stream per example."""
    return _draw(tf.random.stateless_normal, seeds, shape)


def _draw(distribution, seeds, shape):
    return tf.map_fn(lambda seed: distribution(shape, seed), seeds, fn_output_signature=tf.float32)
