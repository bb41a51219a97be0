"""Auto-PGD: projected gradient ascent whose step size follows its own progress.

Croce and Hein, ICML 2020 ("Reliable evaluation..."), algorithm 1. With P the projection on the ball and [0, 1]:

    z = P(x + step_size * steepest(gradient))
    x <- P(x + 0.75 * (z - x) + 0.25 * (x - previous x))                                    eq. 2

At each checkpoint the step size is halved, and the ascent goes on from the best point, where it made no progress.
"""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from tfrobust import balls, objectives, seeds
from tfrobust.attacks import active, fields
from tfrobust.attacks.attack import Access, Attack
from tfrobust.attacks.guard import without_nan

_MOMENTUM = 0.75  # alpha of eq. 2; 1 in the first step
_RISING = 0.75  # rho of condition 1: the share of steps that must raise the objective


class _Ascent(NamedTuple):
    """What goes from step to step, of the active examples."""

    x: tf.Tensor
    previous: tf.Tensor
    gradient: tf.Tensor  # at x
    value: tf.Tensor  # [active] the objective at the last point that was evaluated
    best: tf.Tensor  # the point of the largest value so far, and what goes with it
    best_gradient: tf.Tensor
    best_value: tf.Tensor
    step_size: tf.Tensor  # [active]
    rises: tf.Tensor  # [active] how often the value rose since the last checkpoint
    checked_value: tf.Tensor  # [active] best_value at the last checkpoint
    halved: tf.Tensor  # bool [active] whether the last checkpoint halved the step size
    toward: tf.Tensor  # int32 [active] the class of this run, with `targets`


@dataclasses.dataclass(frozen=True)
class APGD(Attack):
    """Auto-PGD, untargeted or toward several wrong classes one after the other.

    An example is done as soon as an iterate is a success. One that resists returns the point with the largest
    objective of its last run.

    Attributes:
      ball: the allowed perturbations, `Linf(radius)` or `L2(radius)`.
      steps: gradient evaluations per run, beside the one at the start.
      restarts: runs from different random points on the ball's surface; with `targets`, for each of them.
      objective: what is maximized, from `objectives`; not used with `targets`.
      targets: 0, or toward how many of the wrong classes to run, in the order of the clean image's logits; a model
        with fewer has fewer, and an attacker with a goal has that one. The objective is the targeted DLR, or for fewer
        than four classes, where that is not defined, the target's logit minus the label's.

    Memory: 12 batches of images; runs and targets are one after the other.

    Example:
      >>> attack = APGD(balls.Linf(8 / 255), objective=objectives.dlr)
      >>> adversarial = attack(logits_fn, images, labels, seed=0)
    """

    ball: fields.SmoothBall = dataclasses.field()
    _: dataclasses.KW_ONLY
    steps: fields.Count = 100
    restarts: fields.Count = 1
    objective: fields.Maximized = objectives.cross_entropy
    targets: fields.Whole = 0

    name = "apgd"
    needs = Access.WHITE_BOX

    def run(self, problem):
        # Without targets one column, which nothing reads.
        classes = problem.rivals(self.targets) if self.targets else problem.labels[:, None]
        runs = classes.shape[1] * self.restarts

        def run(index, here, classes):
            start = here.sample(self.ball, seeds.fold_in(here.keys, index))
            surface = start * balls.per_example(self.ball.radius / tf.maximum(self.ball.size(start), 1e-12), start)
            toward = tf.gather(classes, index // self.restarts, axis=1)
            images, broken = self._ascend(here, surface, toward)
            return classes, images, broken

        return active.loop(run, problem, classes, problem.images, runs)

    def _evaluate(self, here, x, toward):
        """The objective [active], its gradient, and whether the examples are a success: bool [active]."""

        def objective(logits):
            if not self.targets:
                return here.value_of(self.objective, logits)
            aim = objectives.targeted_dlr if logits.shape[1] >= 4 else objectives.targeted_margin
            return without_nan(aim(logits, here.labels, toward), logits)

        found = here.ascend(objective, x)
        return found.value, found.gradient, here.margin_of(found.logits) > 0.0

    def _ascend(self, problem, start, toward):
        """One ascent from images + start: (images, bool [examples] whether they are a success)."""
        windows = tf.constant(checkpoints(self.steps))

        def inside(x, here):
            return tf.clip_by_value(here.images + self.ball.project(x - here.images), 0.0, 1.0)

        def advance(count, here, state):
            x = state.x
            share = tf.where(count > 0, _MOMENTUM, 1.0)
            uphill = balls.per_example(state.step_size, x) * self.ball.steepest(state.gradient)
            z = inside(x + uphill, here)
            moved = inside(x + share * (z - x) + (1.0 - share) * (x - state.previous), here)
            value, gradient, broken = self._evaluate(here, moved, state.toward)
            state = _check(_record(state, moved, value, gradient), tf.gather(windows, count))
            return state, (tf.where(balls.per_example(broken, x), moved, state.best), broken), broken

        x = inside(problem.images + start, problem)
        value, gradient, broken = self._evaluate(problem, x, toward)
        step_size = tf.fill(tf.shape(value), 2.0 * self.ball.radius)
        # `halved` is true to begin with, as in the authors' code: condition 2 does not hold at the first checkpoint.
        halved = tf.ones_like(broken)
        state = _Ascent(
            x, x, gradient, value, x, gradient, value, step_size, tf.zeros_like(value), value, halved, toward
        )
        return active.loop(advance, problem, state, (x, broken), self.steps, done=broken)

    def variants(self):
        return (apgd_targeted,)


def checkpoints(steps):
    """For each step, how long the window is that ends with it, or 0: int list [steps].

    Windows begin with 0.22 of all steps and get shorter by 0.03 of them, down to 0.06 (section 3.1).
    """
    window, shorter, least = (max(int(share * steps), 1) for share in (0.22, 0.03, 0.06))
    lengths, last = [0] * steps, window - 1
    while last < steps:
        lengths[last] = window
        window = max(window - shorter, least)
        last += window
    return lengths


def _record(state, x, value, gradient):
    """The state after a step to x."""
    better = value > state.best_value
    image_better = balls.per_example(better, x)
    return state._replace(
        x=x,
        previous=state.x,
        gradient=gradient,
        value=value,
        best=tf.where(image_better, x, state.best),
        best_gradient=tf.where(image_better, gradient, state.best_gradient),
        best_value=tf.where(better, value, state.best_value),
        rises=state.rises + tf.cast(value > state.value, tf.float32),
    )


def _check(state, window):
    """Conditions 1 and 2 of section 3.1 at the end of a window of that many steps; nothing, if it is 0."""
    at_checkpoint = window > 0
    rarely_rose = state.rises <= _RISING * tf.cast(window, tf.float32)
    stuck = ~state.halved & (state.checked_value >= state.best_value)
    halve = at_checkpoint & (rarely_rose | stuck)
    back = balls.per_example(halve, state.x)
    return state._replace(
        x=tf.where(back, state.best, state.x),
        gradient=tf.where(back, state.best_gradient, state.gradient),
        step_size=tf.where(halve, state.step_size / 2.0, state.step_size),
        rises=tf.where(at_checkpoint, 0.0, state.rises),
        checked_value=tf.where(at_checkpoint, state.best_value, state.checked_value),
        halved=tf.where(at_checkpoint, halve, state.halved),
    )


apgd = APGD


def apgd_targeted(ball: balls.Ball, *, steps: int = 100, restarts: int = 1, targets: fields.Count = 9) -> APGD:
    """Auto-PGD on the targeted DLR (eq. 7), toward one wrong class after the other, likeliest first.

    Memory: that of `APGD`, 12 batches of images whatever `targets`.
    """
    return APGD(
        ball, steps=steps, restarts=restarts, targets=fields.checked("apgd_targeted: targets", fields.Count, targets)
    )
