"""Explicit, stateless randomness: one seed per example.

A per-example seed is the pair (user's seed, example's index in the data set) of int32 numbers, from which draws are
hashed. Every random draw of an attack starts from it, so an example gets the same draws whatever batch, order or
replica it is processed in.
"""

import functools
import math
import numbers
from collections.abc import Sequence

import numpy as np
import tensorflow as tf


def per_example(seed: int | tf.Tensor, indices: np.ndarray | tf.Tensor) -> tf.Tensor:
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


def resolve(seed: int | tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """Per-example seeds for a batch: `seed` itself if it already is int32 [batch, 2], else folded with 0, 1, 2, ...

    A number may be a tensor, such as the step of a compiled training loop.
    """
    if isinstance(seed, numbers.Integral) or tf.convert_to_tensor(seed).shape.rank == 0:
        return per_example(seed, tf.range(tf.shape(images)[0]))
    return seed


def fold_in(seeds: tf.Tensor, purpose: int | tf.Tensor) -> tf.Tensor:
    """Derives the seeds of one purpose (a restart, a step): int32 [batch, 2] and an int -> int32 [batch, 2].

    The first number goes through a bijection: examples keep distinct seeds.
    """
    return _folded(seeds, tf.cast(purpose, tf.uint32))


def uniform(seeds: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """Uniform draws on (0, 1), odd multiples of 2^-24, all exact: float32 [batch, *shape], a stream per example."""
    return tf.reshape(_uniform(math.prod(shape))(seeds), [-1, *shape])


def normal(seeds: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """Standard normal draws: float32 [batch, *shape], a stream per example."""
    # A kernel rounds what is left after its last full vector differently, and so by an example's place: each example is
    # filled up to full vectors of 16.
    count = math.prod(shape)
    draws = tf.math.ndtri(uniform(seeds, [count + -count % 16]))
    return tf.reshape(draws[:, :count], [-1, *shape])


def integers(seeds: tf.Tensor, shape: Sequence[int], limits: int | tf.Tensor) -> tf.Tensor:
    """Whole draws from 0 up to, not including, `limits` (which broadcasts): int32 [batch, *shape]."""
    return tf.cast(uniform(seeds, shape) * tf.cast(limits, tf.float32), tf.int32)


# The hundred operations of a draw are traced once, and called from then on.
_SEEDS = tf.TensorSpec([None, 2], tf.int32)


@tf.function(input_signature=[_SEEDS, tf.TensorSpec(None, tf.uint32)], autograph=False)
def _folded(seeds, purpose):
    first = tf.bitcast(seeds[:, 0], tf.uint32) + purpose * tf.constant(0x9E3779B9, tf.uint32)
    return tf.stack([tf.bitcast(_mix(first), tf.int32), seeds[:, 1]], axis=1)


@functools.cache
def _uniform(count):
    """The function from seeds to so many draws of each: float32 [batch, count]."""

    @tf.function(input_signature=[_SEEDS], autograph=False)
    def draw(seeds):
        bits = tf.bitwise.right_shift(_bits(seeds, count), tf.constant(9, tf.uint32))
        return (tf.cast(bits, tf.float32) + 0.5) * 2.0**-23

    return draw


def _bits(seeds, count):
    """uint32 [batch, count]: a counter-based generator, so that draws of a whole batch are one expression.

    TensorFlow's own stateless generators take one seed for a batch; a loop over examples was 2 to 5 times slower.
    """
    counter = tf.bitcast(tf.range(count), tf.uint32)
    first, second = tf.unstack(tf.bitcast(seeds, tf.uint32), axis=1)
    # Different constants keep the two keys apart, also for seed 0, example 0 and the first draw.
    key = _mix(_mix(first + tf.constant(0x9E3779B9, tf.uint32)) + second)
    other_key = _mix(_mix(second + tf.constant(0x7F4A7C15, tf.uint32)) + first)
    return _mix(_mix(_mix(counter) + key[:, None]) + other_key[:, None])


def _mix(numbers):
    """MurmurHash3's 32-bit finaliser, a bijection of uint32 in which every bit depends on all others."""
    numbers = _fold_high_bits(numbers, 16) * tf.constant(0x85EBCA6B, tf.uint32)
    numbers = _fold_high_bits(numbers, 13) * tf.constant(0xC2B2AE35, tf.uint32)
    return _fold_high_bits(numbers, 16)


def _fold_high_bits(numbers, shift):
    return tf.bitwise.bitwise_xor(numbers, tf.bitwise.right_shift(numbers, tf.constant(shift, tf.uint32)))
