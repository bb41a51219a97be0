"""Sigma-zero: the fewest pixels, by descent on a smooth count of them and a threshold that cuts off small changes.

Cinà et al., ICLR 2025, algorithm 1, with a pixel's squared change s_p, a sum over its channels. Adam descends on

    max(-margin, 0) + mean_p s_p / (s_p + sigma)                                                        eq. 5 and 6

by the gradient of largest value 1. After each step pixels whose every change is below the threshold go back; the threshold
rises while the example is broken, and falls while it is not. Step sizes fall along half a cosine.
"""

import dataclasses
import math
from typing import NamedTuple

import tensorflow as tf

from tfrobust import balls, objectives
from tfrobust.attacks import fields
from tfrobust.attacks.attack import Access, Attack
from tfrobust.attacks.gradient.nearest import Nearest
from tfrobust.attacks.problem import Problem
from tfrobust.attacks.steps import Adam, half_cosine

_LAST = 0.1  # the last step size, as a share of the first
_TINY = 1e-12


class _State(NamedTuple):
    """What goes from step to step."""

    delta: tf.Tensor
    moments: tuple  # Adam's
    threshold: tf.Tensor  # [examples]
    nearest: Nearest


@dataclasses.dataclass(frozen=True)
class SigmaZero(Attack):
    """The minimal-norm attack in l0. Images that it cannot break come back unchanged.

    Attributes:
      norm: `balls.L0`, the number of changed pixels, which is made small. (The authors count values, of which a pixel in
        color has three.)
      steps: gradient evaluations.
      learning_rate: Adam's first step size.
      sigma: how smooth the count of pixels is; half of a pixel counts that changed by its root.
      threshold: the first one.
      threshold_rate: by how much the threshold moves in a step, as a share of the step size.

    Memory: 12 batches of images.

    Example:
      >>> adversarial = SigmaZero()(logits_fn, images, labels, seed=0)
    """

    norm: fields.L0Norm = balls.L0
    _: dataclasses.KW_ONLY
    steps: fields.Count = 1000
    learning_rate: fields.Positive = 1.0
    sigma: fields.Positive = 1e-3
    threshold: fields.Share = 0.3
    threshold_rate: fields.NonNegative = 0.01

    name = "sigma_zero"
    needs = Access.WHITE_BOX

    def run(self, problem: Problem) -> tf.Tensor:
        images = problem.images
        pixels = math.prod(images.shape[1:3])

        def step(count, state):
            delta = state.delta
            margin, rise, logits = problem.ascend(
                lambda logits: problem.value_of(objectives.margin, logits), images + delta
            )
            broken = problem.wanted(logits)
            nearest = state.nearest.or_nearer(images + delta, self.norm.size(delta), broken)

            square = tf.reduce_sum(tf.square(delta), axis=-1, keepdims=True)
            count_slope = 2.0 * delta * self.sigma / tf.square(square + self.sigma) / pixels
            slope = count_slope - tf.where(balls.per_example(margin < 0.0, delta), rise, 0.0)
            slope /= balls.per_example(tf.maximum(balls.Linf.size(slope), _TINY), slope)
            direction, moments = Adam().direction(self.norm, count, slope, state.moments)
            rate = self.learning_rate * half_cosine(count, self.steps, _LAST)
            delta = tf.clip_by_value(images + delta - rate * direction, 0.0, 1.0) - images

            move = self.threshold_rate * rate
            threshold = tf.clip_by_value(state.threshold + tf.where(broken, move, -move), 0.0, 1.0)
            largest = tf.reduce_max(tf.abs(delta), axis=-1, keepdims=True)
            delta = tf.where(largest < balls.per_example(threshold, delta), 0.0, delta)
            return count + 1, _State(delta, moments, threshold, nearest)

        threshold = tf.fill(tf.shape(problem.labels), self.threshold)
        start = _State(tf.zeros_like(images), Adam().start(images), threshold, Nearest.none(problem))
        loop = (tf.constant(0), start)
        return tf.while_loop(lambda *_: True, step, loop, maximum_iterations=self.steps)[1].nearest.images
