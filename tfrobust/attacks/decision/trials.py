"""Several images one after the other, of which the worst is kept."""

from collections.abc import Callable

import tensorflow as tf

from tfrobust import balls
from tfrobust.attacks import active
from tfrobust.attacks.problem import Problem


def worst_of(make: Callable, problem: Problem, count) -> tf.Tensor:
    """The first success of each example, else the image with the largest margin.

    Args:
      make: (index int32, problem of the examples that are no success yet) -> their images.
      problem: of examples that are no success.
      count: how many images are made for each example, at most.

    Returns:
      float32 images; where the model gives labels alone, the first of those that are no success.
    """

    def look(index, here, state):
        best, margin = state
        made = make(index, here)
        value = here.margin_of(here.answers(made))
        better = value > margin
        best, margin = tf.where(balls.per_example(better, made), made, best), tf.maximum(value, margin)
        return (best, margin), best, margin > 0.0

    nothing = tf.fill(tf.shape(problem.labels), float("-inf"))
    return active.loop(look, problem, (problem.images, nothing), problem.images, count)
