"""What a minimal-norm attack keeps on its way: the nearest adversarial images so far."""

from typing import NamedTuple, Self

import tensorflow as tf

from tfrobust import balls
from tfrobust.attacks.problem import Problem


class Nearest(NamedTuple):
    """The nearest adversarial images so far.

    Attributes:
      images: float32 [examples, ...]; the clean image where there is none.
      size: float32 [examples], their distances; infinite where there is none.
    """

    images: tf.Tensor
    size: tf.Tensor

    @classmethod
    def none(cls, problem: Problem) -> Self:
        """Before anything was found."""
        return cls(problem.images, tf.fill(tf.shape(problem.labels), float("inf")))

    def or_nearer(self, x, size, broken) -> "Nearest":
        """With images x at distances `size`, where these are `broken` and nearer."""
        better = broken & (size < self.size)
        return Nearest(tf.where(balls.per_example(better, x), x, self.images), tf.where(better, size, self.size))
