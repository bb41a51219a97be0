"""PDPGD: a game between the perturbation, which gets small and breaks, and the weights of these two aims.

Matyasko and Chau, 2021 ("PDPGD: Primal-dual proximal gradient descent adversarial attack", arXiv:2106.01538), algorithm 1:

    primal   a step of Adam on softplus(-margin), cut to [0, 1], then a few steps of the proximal operator of the norm, in
             the metric of Adam, weighted by the ratio of the dual variables
    dual     the weight of the classification rises while the example is not broken, and falls while it is
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
from tfrobust.attacks.steps import Adam

_RATIO = 0.01  # the first weight of the distance, of that of the classification
_LARGEST_LOG_RATIO = -math.log(1e-6)
_KEPT = 0.9  # of the weights, from step to step
_PRIMAL_FALL = 0.01  # the last primal step size, as a share of the first; exponentially
_DUAL_FALL = 0.1  # the last dual step size likewise; linearly
_PROXIMAL_STEPS, _CONVERGED = 5, 0.01  # at most, and the relative change that ends them
_TINY = 1e-12


class _State(NamedTuple):
    """What goes from step to step."""

    delta: tf.Tensor
    moments: tuple  # Adam's
    log_ratio: tf.Tensor  # [examples] of the weight of the classification to that of the distance
    share: tf.Tensor  # [examples] the mean weight of the classification; that of the distance is what is left to 1
    nearest: Nearest


@dataclasses.dataclass(frozen=True)
class PDPGD(Attack):
    """The minimal-norm attack in any of four norms. Images that it cannot break come back unchanged.

    Attributes:
      norm: what is made small, `balls.L2`, `balls.Linf`, `balls.L1` or `balls.L0` (pixels; as in the paper by the proximal
        operator of the power 2/3).
      steps: gradient evaluations.
      primal_rate: the first step size of the perturbation.
      dual_rate: the first step size of the weights.

    Memory: 12 batches of images, 15 in l0 and 17 in linf.

    Example:
      >>> adversarial = PDPGD(balls.L1)(logits_fn, images, labels, seed=0)
    """

    norm: fields.AnyNorm = balls.L2
    _: dataclasses.KW_ONLY
    steps: fields.Count = 500
    primal_rate: fields.Positive = 0.1
    dual_rate: fields.Positive = 0.1

    name = "pdpgd"
    needs = Access.WHITE_BOX

    def run(self, problem: Problem) -> tf.Tensor:
        images, adam = problem.images, Adam()

        def inside(delta):
            return tf.clip_by_value(images + delta, 0.0, 1.0) - images

        def step(count, state):
            delta = state.delta
            margin, rise, logits = problem.ascend(
                lambda logits: problem.value_of(objectives.margin, logits), images + delta
            )
            broken = problem.wanted(logits)
            nearest = state.nearest.or_nearer(images + delta, self.norm.size(delta), broken)

            spent = tf.cast(count, tf.float32) / self.steps
            rate = self.primal_rate * _PRIMAL_FALL**spent
            slope = -balls.per_example(_sigmoid(-margin), rise) * rise  # of softplus(-margin)
            direction, moments = adam.direction(self.norm, count, slope, state.moments)
            moved = inside(delta - rate * direction)
            scale = adam.scale(count, moments)
            largest = tf.maximum(balls.Linf.size(scale), _TINY)
            weight = rate * (1.0 - state.share) / state.share / largest
            delta = _proximal_descent(self.norm, moved, scale / balls.per_example(largest, scale), weight, inside)

            fall = 1.0 - spent * (1.0 - _DUAL_FALL)
            log_ratio = state.log_ratio + self.dual_rate * fall * tf.where(broken, -1.0, 1.0)
            log_ratio = tf.clip_by_value(log_ratio, -_LARGEST_LOG_RATIO, _LARGEST_LOG_RATIO)
            share = _KEPT * state.share + (1.0 - _KEPT) * _sigmoid(log_ratio)
            return count + 1, _State(delta, moments, log_ratio, share, nearest)

        log_ratio = tf.fill(tf.shape(problem.labels), -math.log(_RATIO))
        start = _State(tf.zeros_like(images), adam.start(images), log_ratio, _sigmoid(log_ratio), Nearest.none(problem))
        loop = (tf.constant(0), start)
        return tf.while_loop(lambda *_: True, step, loop, maximum_iterations=self.steps)[1].nearest.images


def _sigmoid(values):
    """The same for an example wherever it stands in the batch: a full vector for each (see seeds.normal)."""
    return tf.sigmoid(tf.tile(values[:, None], [1, 16]))[:, 0]


def _proximal_descent(norm, moved, metric, weight, inside):
    """The proximal operator in a metric: argmin of <metric * (z - moved), z - moved> / 2 + weight * ||z||, inside the box.

    Args:
      moved: float32 [examples, ...], the point to stay near to.
      metric: float32, like it, at most 1.
      weight: float32 [examples].
      inside: cuts a perturbation to the box.
    """

    def descend(point, _):
        further = inside(proximal(norm, point - metric * (point - moved), weight))
        change = balls.L2.size(further - point) / tf.maximum(balls.L2.size(further), _TINY)
        return further, change > _CONVERGED

    def improve(point, moving):
        further, still = descend(point, None)
        return tf.where(balls.per_example(moving, point), further, point), moving & still

    return tf.while_loop(
        lambda _, moving: tf.reduce_any(moving),
        improve,
        (moved, tf.ones_like(weight, tf.bool)),
        maximum_iterations=_PROXIMAL_STEPS,
    )[0]


def proximal(norm: type[balls.Ball], point, weight) -> tf.Tensor:
    """argmin_z of ||z - point||_2^2 / 2 + weight * ||z||, for l0 with the power 2/3 of each pixel's length as the norm.

    Args:
      norm: one of the four.
      point: float32 [examples, height, width, channels].
      weight: float32 [examples].

    Example:
      >>> proximal(balls.L1, tf.constant([[[[0.5], [-0.1]]]]), tf.constant([0.2])).numpy().ravel()
      array([0.3, -0.0], dtype=float32)
    """
    each = balls.per_example(weight, point)
    if norm is balls.L1:
        return tf.sign(point) * tf.maximum(tf.abs(point) - each, 0.0)
    if norm is balls.L2:
        return point * tf.maximum(1.0 - each / balls.per_example(balls.L2.size(point), point), 0.0)
    if norm is balls.Linf:  # by Moreau, what is left by the projection on the l1 ball
        return point - balls.L1.nearest(point, weight)
    length = tf.norm(point, axis=-1, keepdims=True)
    return point * tf.math.divide_no_nan(_proximal_of_power(length, each), length)


def _proximal_of_power(length, weight):
    """argmin_z of (z - length)^2 / 2 + weight * z^(2/3), z >= 0, in closed form."""
    inside = tf.square(tf.square(length)) / 256.0 - 8.0 / 729.0 * weight**3
    root = tf.sqrt(tf.maximum(inside, 0.0))
    sixteenth = tf.square(length) / 16.0
    outer = 2.0 * ((sixteenth + root) ** (1 / 3) + tf.maximum(sixteenth - root, 0.0) ** (1 / 3))
    under = 2.0 * length / tf.sqrt(tf.maximum(outer, _TINY)) - outer
    value = (tf.sqrt(tf.maximum(under, 0.0)) + tf.sqrt(outer)) ** 3 / 8.0
    better = tf.square(value - length) / 2.0 + weight * value ** (2 / 3) < tf.square(length) / 2.0  # than zero
    return tf.where((inside >= 0.0) & (under >= 0.0) & better, value, 0.0)
