"""EAD: elastic-net attacks, Carlini and Wagner's loss with an l1 term, so that few values change.

Chen et al., AAAI 2018, algorithm 1. For each c of a search, iterative shrinkage-thresholding with momentum minimizes

    c * max(confidence - margin, 0) + ||x - x0||_2^2 + beta * ||x - x0||_1          eq. 7

    x_next <- S(y - step_size * gradient(y)),   y <- x_next + count / (count + 3) * (x_next - x)

where S draws each value back to the clean one by beta, and cuts to [0, 1].
"""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from tfrobust import balls, objectives
from tfrobust.attacks import active, fields
from tfrobust.attacks.attack import Access, Attack
from tfrobust.attacks.gradient.constants import Constants
from tfrobust.attacks.gradient.nearest import Nearest
from tfrobust.attacks.problem import Problem

_TESTS, _PROGRESS = 10, 1e-4  # for progress during one search, and the share of the loss that has to go meanwhile


class _Walk(NamedTuple):
    """What goes from step to step of one descent, of the active examples."""

    x: tf.Tensor
    slack: tf.Tensor  # y
    nearest: Nearest
    broken: tf.Tensor  # bool [active] whether this c has broken the example
    weight: tf.Tensor  # [active] c
    tested: tf.Tensor  # [active] the loss at the last test


@dataclasses.dataclass(frozen=True)
class EAD(Attack):
    """The minimal-norm attack in l1. Images that it cannot break come back unchanged.

    Attributes:
      norm: `balls.L1`, the norm that is made small.
      confidence: by how much the wrong logit must exceed the label's, in units of logits.
      searches: values of c for each example.
      steps: for each c; each is two forward passes and a backward pass.
      step_size: of the first step; it falls with the root of the steps that are left.
      initial_const: the first c.
      beta: the weight of the l1 norm, and by how much a step draws each value back.
      elastic: keep the adversarial image of the smallest elastic net, ||.||_2^2 + beta * ||.||_1, the authors' rule EN,
        instead of the smallest l1 norm, their rule L1.
      abort_early: ten times during `steps` stop for examples whose loss fell by less than 0.01 % since the last time.

    Memory: 10 batches of images; values of c are one after the other.

    Example:
      >>> adversarial = EAD(steps=200)(logits_fn, images, labels, seed=0)
    """

    norm: fields.L1Norm = balls.L1
    _: dataclasses.KW_ONLY
    confidence: fields.NonNegative = 0.0
    searches: fields.Count = 9
    steps: fields.Count = 1000
    step_size: fields.Positive = 0.01
    initial_const: fields.Positive = 1e-3
    beta: fields.Positive = 0.01
    elastic: fields.Flag = False
    abort_early: fields.Flag = True

    name = "ead"
    needs = Access.WHITE_BOX

    def run(self, problem: Problem) -> tf.Tensor:
        def search(count, constants, nearest):
            nearest, broken = self._descend(problem, constants.weight, nearest)
            return count + 1, constants.after(broken), nearest

        constants = Constants.first(tf.size(problem.labels), self.initial_const)
        loop = (tf.constant(0), constants, Nearest.none(problem))
        return tf.while_loop(lambda *_: True, search, loop, maximum_iterations=self.searches)[2].images

    def _size(self, delta):
        """What is made small: float32 [active]."""
        return self._elastic_net(delta) if self.elastic else balls.L1.size(delta)

    def _elastic_net(self, delta):
        return tf.square(balls.L2.size(delta)) + self.beta * balls.L1.size(delta)

    def _descend(self, problem, weight, nearest):
        """The shrinkage for one c: (the nearest after it, bool [examples] whether this c has broken the example)."""
        interval = max(self.steps // _TESTS, 1)

        def step(count, here, walk):
            margin, rise = here.value_and_gradient(objectives.margin, walk.slack)
            short = margin < self.confidence
            pull = balls.per_example(tf.where(short, walk.weight, 0.0), rise)
            slope = 2.0 * (walk.slack - here.images) - pull * rise
            taken = tf.cast(count, tf.float32)
            rate = self.step_size * tf.sqrt(1.0 - taken / self.steps)
            x = self._shrunk(walk.slack - rate * slope, here.images)
            slack = x + taken / (taken + 3.0) * (x - walk.x)

            margin, delta = here.margin(x), x - here.images
            success = margin > self.confidence
            nearest, broken = walk.nearest.or_nearer(x, self._size(delta), success), walk.broken | success
            loss = walk.weight * tf.maximum(self.confidence - margin, 0.0) + self._elastic_net(delta)
            testing = (count + 1) % interval == 0
            stuck = testing & (loss > (1.0 - _PROGRESS) * walk.tested) & self.abort_early
            tested = tf.where(testing, loss, walk.tested)
            return _Walk(x, slack, nearest, broken, walk.weight, tested), (nearest, broken), stuck

        none, infinite = tf.zeros_like(weight, tf.bool), tf.fill(tf.shape(weight), float("inf"))
        start = _Walk(problem.images, problem.images, nearest, none, weight, infinite)
        return active.loop(step, problem, start, (nearest, none), self.steps)

    def _shrunk(self, x, clean):
        """S of eq. 8."""
        delta = x - clean
        return tf.clip_by_value(clean + tf.sign(delta) * tf.maximum(tf.abs(delta) - self.beta, 0.0), 0.0, 1.0)
