"""Decoupled direction and norm: a gradient says where to, success says how far.

    delta <- delta + step_size * steepest(gradient)         delta <- radius * delta / ||delta||_2

with a radius that shrinks by a factor 1 - gamma while an example is broken and grows by 1 + gamma while it is not, and
step sizes that fall from 1 to 0.01 along half a cosine. Rony et al., CVPR 2019, algorithm 1.
"""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from tfrobust import balls, objectives
from tfrobust.attacks import fields
from tfrobust.attacks.attack import Access, Attack
from tfrobust.attacks.gradient.nearest import Nearest
from tfrobust.attacks.problem import Problem
from tfrobust.attacks.steps import half_cosine

_LAST_STEP = 0.01  # as a share of the first


class _State(NamedTuple):
    """What goes from step to step."""

    x: tf.Tensor  # the iterate
    radius: tf.Tensor  # [examples] of its perturbation, before it was clipped
    nearest: Nearest


@dataclasses.dataclass(frozen=True)
class DDN(Attack):
    """The minimal-norm attack in l2. Images that it cannot break come back unchanged.

    Of the iterates at which a gradient was taken, the nearest adversarial one is returned.

    Attributes:
      norm: `balls.L2`, the norm that is made small.
      steps: gradient evaluations; the paper takes 100 to 1,000.
      gamma: by which share the radius changes in a step.
      initial_radius: of the first step.
      objective: what is maximized, from `objectives`.

    Memory: 8 batches of images.

    Example:
      >>> attack = DDN(steps=100)
      >>> adversarial = attack(logits_fn, images, labels, seed=0)
    """

    norm: fields.L2Norm = balls.L2
    _: dataclasses.KW_ONLY
    steps: fields.Count = 100
    gamma: fields.ProperShare = 0.05
    initial_radius: fields.Positive = 1.0
    objective: fields.Maximized = objectives.cross_entropy

    name = "ddn"
    needs = Access.WHITE_BOX

    def run(self, problem: Problem) -> tf.Tensor:
        images = problem.images

        def step(count, state):
            _, gradient, logits = problem.ascend(lambda logits: problem.value_of(self.objective, logits), state.x)
            broken, size = problem.wanted(logits), self.norm.size(state.x - images)
            nearest = state.nearest.or_nearer(state.x, size, broken)
            step_size = half_cosine(count, self.steps, _LAST_STEP)
            direction = state.x - images + step_size * self.norm.steepest(gradient)
            radius = state.radius * tf.where(broken, 1.0 - self.gamma, 1.0 + self.gamma)
            moved = images + balls.per_example(radius, images) * self.norm.steepest(direction)
            x = tf.clip_by_value(moved, 0.0, 1.0)
            return count + 1, _State(x, radius, nearest)

        radius = tf.fill(tf.shape(problem.labels), float(self.initial_radius))
        loop = (tf.constant(0), _State(images, radius, Nearest.none(problem)))
        return tf.while_loop(lambda *_: True, step, loop, maximum_iterations=self.steps)[1].nearest.images
