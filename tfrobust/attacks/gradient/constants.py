"""The search for the constant that weighs the classification loss against the distance, one for each example.

Carlini and Wagner, S&P 2017, section VI-A, "choosing the constant": ten times as much until it does, then bisection.
"""

from typing import NamedTuple, Self

import tensorflow as tf


class Constants(NamedTuple):
    """The search.

    Attributes:
      weight: float32 [examples], the constant to try.
      lower: the largest that is known to fail.
      upper: the smallest that is known to do; infinite before one is known.
    """

    weight: tf.Tensor
    lower: tf.Tensor
    upper: tf.Tensor

    @classmethod
    def first(cls, examples, weight: float) -> Self:
        """The start, for so many examples."""
        return cls(tf.fill([examples], weight), tf.zeros([examples]), tf.fill([examples], float("inf")))

    def after(self, did) -> Self:
        """The search after `weight` was tried: bool [examples], whether it did."""
        lower = tf.where(did, self.lower, tf.maximum(self.lower, self.weight))
        upper = tf.where(did, tf.minimum(self.upper, self.weight), self.upper)
        bounded = upper < float("inf")
        weight = tf.where(bounded, (lower + tf.where(bounded, upper, 0.0)) / 2.0, 10.0 * self.weight)
        return type(self)(weight, lower, upper)
