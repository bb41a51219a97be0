"""Sigma-zero: the fewest pixels, by descent on a smooth count of them and a threshold that cuts off small changes.

Cinà et al., ICLR 2025, algorithm 1, with a pixel's squared change s_p, a sum over its channels. Adam descends on

    max(-margin, 0) + mean_p s_p / (s_p + sigma)                                                        eq. 5 and 6

by the gradient of largest value 1. After each step pixels whose every change is below the threshold go back; the threshold
rises while the example is broken, and falls while it is not. Step sizes fall along half a cosine.

Where few pixels suffice, it often ends with one too many, whatever the steps: there `pruning`, which is ours, spends half of the
passes better (docs/results.md).
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
_TURNS = 4  # gradients for each pixel that pruning leaves out
_JOINING = 100  # pixels, those with the largest gradients, of which one joins
_WIDEST, _SMALLEST = 0.5, 0.1  # the first and the last step of these


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
      pruning: gradient evaluations after these steps, in which pixels are left out of the nearest image, the least changed
        first: the others move on, four steps of the gradient's sign, to break the example without it. Once none can be left
        out alone, two are, and the one with the largest gradient joins instead, after all pairs the one with the second
        largest, and so on. 0, as the authors have it: none.

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
    pruning: fields.Whole = 0

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
        nearest = tf.while_loop(lambda *_: True, step, loop, maximum_iterations=self.steps)[1].nearest
        return (self._pruned(problem, nearest) if self.pruning else nearest).images

    def _pruned(self, problem, nearest):
        images, attempts = problem.images, -(-self.pruning // _TURNS)

        def attempt(count, tried, nearest):
            change = tf.reduce_max(tf.abs(nearest.images - images), axis=-1)
            kept, joins = _left_out(change, tried)
            turns = tf.minimum(_TURNS, self.pruning - count * _TURNS)

            def step(turn, x, kept, found):
                _, rise, logits = problem.ascend(lambda logits: problem.value_of(objectives.margin, logits), x)
                found = found.or_nearer(x, self.norm.size(x - images), problem.wanted(logits))
                kept = tf.cond(turn == 0, lambda: kept | _joining(change, rise, joins), lambda: kept)
                rate = _WIDEST * (_SMALLEST / _WIDEST) ** (tf.cast(turn, tf.float32) / (_TURNS - 1))
                moved = tf.clip_by_value(x + rate * tf.sign(rise), 0.0, 1.0)
                return turn + 1, tf.where(kept, moved, images), kept, found

            loop = (tf.constant(0), tf.where(kept, nearest.images, images), kept, nearest)
            found = tf.while_loop(lambda turn, *_: turn < turns, step, loop)[3]
            return count + 1, tf.where(found.size < nearest.size, 0, tried + 1), found

        loop = (tf.constant(0), tf.zeros_like(problem.labels), nearest)
        return tf.while_loop(lambda *_: True, attempt, loop, maximum_iterations=attempts)[2]


def _left_out(change, tried):
    """What an attempt is made with.

    Args:
      change: float32 [examples, height, width], how much each pixel is changed.
      tried: int32 [examples], attempts since the last one that went well.

    Returns:
      the pixels that stay, bool [examples, height, width, 1], and which one joins them, by the place of its gradient among
      the largest, int32 [examples]; -1: none.
    """
    flat = tf.reshape(change, [-1, math.prod(change.shape[1:])])
    order = tf.argsort(tf.where(flat > 0.0, flat, float("inf")))  # those that are changed, the least first
    many = tf.maximum(tf.reduce_sum(tf.cast(flat > 0.0, tf.int32), axis=1), 1)
    rounds, distances = tried // many - 1, tf.maximum(many // 2, 1)  # of the two pixels of a pair, in that order
    in_pairs = (rounds >= 0) & (many > 1)

    def at(place):
        index = tf.gather(order, place % many, batch_dims=1)
        return tf.one_hot(index, flat.shape[1], on_value=True, off_value=False)

    kept = (flat > 0.0) & ~at(tried) & ~(at(tried + 1 + rounds % distances) & in_pairs[:, None])
    return tf.reshape(kept, [-1, *change.shape[1:], 1]), tf.where(in_pairs, rounds // distances % _JOINING, -1)


def _joining(change, rise, places):
    """The pixels with these places among the steepest of those that are not changed: bool [examples, height, width, 1]."""
    slope = tf.where(change > 0.0, -1.0, tf.reduce_sum(tf.abs(rise), axis=-1))
    flat = tf.reshape(slope, [-1, math.prod(slope.shape[1:])])
    steepest = tf.math.top_k(flat, min(_JOINING, flat.shape[1])).indices
    index = tf.gather(steepest, tf.maximum(places, 0) % steepest.shape[1], batch_dims=1)
    index = tf.where(places < 0, -1, index)  # of none, one_hot is False throughout
    return tf.reshape(tf.one_hot(index, flat.shape[1], on_value=True, off_value=False), [-1, *slope.shape[1:], 1])
