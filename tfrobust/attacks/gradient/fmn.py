"""The fast minimum-norm attack: steps inside a ball whose radius closes in on the decision boundary.

    delta <- project(delta + step_size * gradient / ||gradient||_2)         onto the ball of the radius of this step

The radius is the distance of the linearized boundary until an example is broken for the first time; from then on it
shrinks by a factor 1 - gamma while the example is broken and grows by 1 + gamma while it is not. Step sizes and gamma fall
along half a cosine. Pintor et al., NeurIPS 2021, algorithm 1, with two departures, each for smaller distances
(docs/results.md): the gradient is that of the label's log-odds, in which all other classes have a share, not that of the margin,
which is one's; and the linearized boundary is overshot by gamma, since from inside it is never crossed where the network
bends the right way.
"""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from tfrobust import balls, objectives
from tfrobust.attacks import fields
from tfrobust.attacks.attack import Access, Attack
from tfrobust.attacks.gradient.nearest import Nearest
from tfrobust.attacks.problem import Problem
from tfrobust.attacks.steps import half_cosine, unheld

_LAST = 0.01  # of step sizes and of gamma, as a share of the first
_TINY = 1e-12


class _State(NamedTuple):
    """What goes from step to step."""

    x: tf.Tensor  # the iterate
    radius: tf.Tensor  # [examples]
    nearest: Nearest


@dataclasses.dataclass(frozen=True)
class FMN(Attack):
    """The minimal-norm attack in any of four norms. Images that it cannot break come back unchanged.

    Of the iterates at which a gradient was taken, the nearest adversarial one is returned.

    Attributes:
      norm: what is made small, `balls.L2`, `balls.Linf`, `balls.L1` or `balls.L0` (pixels).
      steps: gradient evaluations.
      step_size: length in l2 of the first step.
      gamma: by which share the radius changes in the first step.
      objective: what is maximized, from `objectives`; `margin` is the paper's.

    Memory: 8 batches of images, 9 in l0 and 12 in l1.

    Example:
      >>> attack = FMN(balls.L1, steps=100)
      >>> adversarial = attack(logits_fn, images, labels, seed=0)
    """

    norm: fields.AnyNorm = balls.L2
    _: dataclasses.KW_ONLY
    steps: fields.Count = 100
    step_size: fields.Positive = 1.0
    gamma: fields.ProperShare = 0.05
    objective: fields.Maximized = objectives.cross_entropy

    name = "fmn"
    needs = Access.WHITE_BOX

    def run(self, problem: Problem) -> tf.Tensor:
        images = problem.images
        largest = self.norm.size(tf.maximum(images, 1.0 - images))  # that the box allows

        def step(count, state):
            ascent = problem.ascend(lambda logits: problem.value_of(self.objective, logits), state.x)
            broken, delta = problem.wanted(ascent.logits), state.x - images
            size = self.norm.size(delta)
            nearest = state.nearest.or_nearer(state.x, size, broken)

            share = half_cosine(count, self.steps, _LAST)
            gradient = unheld(ascent.gradient, state.x)
            # By the objective, whose gradient this is: it is zero at the boundary, or a little above (log-odds).
            boundary = size + tf.maximum(-ascent.value, 0.0) / tf.maximum(self.norm.dual(gradient), _TINY)
            radius = self._radius(state.radius, broken, nearest.size, boundary, self.gamma * share)
            radius = tf.minimum(radius, largest)
            moved = delta + self.step_size * share * balls.L2.steepest(gradient)
            moved = self.norm.nearest(moved, radius)
            return count + 1, _State(tf.clip_by_value(images + moved, 0.0, 1.0), radius, nearest)

        start = _State(images, tf.zeros_like(largest), Nearest.none(problem))
        loop = (tf.constant(0), start)
        return tf.while_loop(lambda *_: True, step, loop, maximum_iterations=self.steps)[1].nearest.images

    def _radius(self, radius, broken, nearest, boundary, gamma):
        """The next radius: float32 [examples].

        Args:
          radius: [examples], the one before.
          broken: bool [examples], whether the iterate is.
          nearest: [examples], the distance of the nearest adversarial image so far, this one included; infinite without one.
          boundary: [examples], the distance of the linearized boundary.
          gamma: by which share to change.
        """
        inward, outward = tf.minimum(radius, nearest) * (1.0 - gamma), radius * (1.0 + gamma)
        if self.norm is balls.L0:  # whole pixels, about which a linear boundary says nothing
            return tf.maximum(tf.where(broken, tf.floor(inward), tf.math.ceil(outward)), 1.0)
        never = nearest == float("inf")
        return tf.where(broken, inward, tf.where(never, boundary * (1.0 + self.gamma), outward))
