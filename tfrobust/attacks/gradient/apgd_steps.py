"""How Auto-PGD steps, and how the steps follow its progress: one rule for linf and l2, another for l1.

`Halving`, Croce and Hein, ICML 2020 ("Reliable evaluation..."), algorithm 1, and `Sparse`, Croce and Hein, ICML 2021
("Mind the box"), algorithm 1. With P the projection on the ball and [0, 1]:

    z = P(x + step_size * steepest(gradient))                                           Halving
    x <- P(x + 0.75 * (z - x) + 0.25 * (x - previous x))                                eq. 2 there

    x <- P(x + step_size * sign(s) / ||sign(s)||_1), s the largest values of the gradient, how many follows from how many
    values the best point so far has changed                                            Sparse
"""

import abc
import dataclasses
import math
from typing import NamedTuple

import tensorflow as tf

from tfrobust import balls, seeds
from tfrobust.attacks.problem import Problem

_MOMENTUM = 0.75  # alpha of eq. 2; 1 in the first step
_RISING = 0.75  # rho of condition 1: the share of steps that must raise the objective
_RADII = ((3.0, 0.3), (2.0, 0.3), (1.0, 0.4))  # of Sparse: times the ball's, and the share of all steps that it gets
_WINDOW = 0.04  # of Sparse, as a share of a phase's steps
_SPARSER = 1.5  # a step changes so many times fewer values than the best point so far
_SETTLED = 0.95  # the share of changed values, of those at the last checkpoint, from which on steps grow smaller
_SMALLER = 1.5  # by so much
_SMALLEST = 0.1  # down to this, times the radius


class Plan(NamedTuple):
    """What is known of each evaluation beforehand: the start of a phase, or a step."""

    radius: tf.Tensor  # float32, of the phase
    begins: tf.Tensor  # bool, whether it is the start of one
    first: tf.Tensor  # bool, whether the step comes right after it
    window: tf.Tensor  # int32, how many steps the window has that ends with this one, or 0

    def at(self, count) -> "Plan":
        """That of one evaluation."""
        return Plan(*(tf.gather(part, count) for part in self))


class Ascent(NamedTuple):
    """What goes from step to step, of the active examples."""

    x: tf.Tensor
    previous: tf.Tensor
    gradient: tf.Tensor  # at x
    value: tf.Tensor  # [active] the objective at the last point that was evaluated
    best: tf.Tensor  # the point of the largest value so far, and what goes with it
    best_gradient: tf.Tensor
    best_value: tf.Tensor
    step_size: tf.Tensor  # [active]
    progress: tuple  # what the rule keeps of it

    def went_to(self, x, value, gradient) -> "Ascent":
        """The ascent after a step."""
        better = value > self.best_value
        image_better = balls.per_example(better, x)
        return self._replace(
            x=x,
            previous=self.x,
            gradient=gradient,
            value=value,
            best=tf.where(image_better, x, self.best),
            best_gradient=tf.where(image_better, gradient, self.best_gradient),
            best_value=tf.where(better, value, self.best_value),
        )

    def back_to_best(self, rows) -> "Ascent":
        """Goes on from the best point where `rows`, bool [active], says so."""
        back = balls.per_example(rows, self.x)
        return self._replace(
            x=tf.where(back, self.best, self.x), gradient=tf.where(back, self.best_gradient, self.gradient)
        )


@dataclasses.dataclass(frozen=True)
class Rule(abc.ABC):
    """The abstract rule.

    Attributes:
      ball: the allowed perturbations.
    """

    ball: balls.Ball

    @abc.abstractmethod
    def plan(self, steps: int) -> Plan:
        """Of so many steps; each part has an entry for each evaluation."""

    @abc.abstractmethod
    def start(self, here: Problem, keys) -> tf.Tensor:
        """A random image to start from, of any distance."""

    @abc.abstractmethod
    def begin(self, clean, x, value, gradient, radius) -> Ascent:
        """The ascent at the start of a phase."""

    @abc.abstractmethod
    def move(self, clean, ascent: Ascent, plan: Plan) -> tf.Tensor:
        """The next point."""

    @abc.abstractmethod
    def check(self, clean, ascent: Ascent, before: Ascent, plan: Plan) -> Ascent:
        """The ascent after a step, with the step size of the next and, at a checkpoint, the point to go on from."""


class _Rises(NamedTuple):
    count: tf.Tensor  # [active] how often the value rose since the last checkpoint
    checked_value: tf.Tensor  # [active] the best value at the last checkpoint
    halved: tf.Tensor  # bool [active] whether the last checkpoint halved the step size


class Halving(Rule):
    """Linf and l2: at each checkpoint the step size is halved, and the ascent goes on from the best point, where it made
    no progress.
    """

    def plan(self, steps):
        return _plan([(self.ball.radius, checkpoints(steps))])

    def start(self, here, keys):
        drawn = here.sample(self.ball, keys)  # onto the surface
        return here.images + drawn * balls.per_example(
            self.ball.radius / tf.maximum(self.ball.size(drawn), 1e-12), drawn
        )

    def begin(self, clean, x, value, gradient, radius):
        # `halved` is true to begin with, as in the authors' code: condition 2 does not hold at the first checkpoint.
        progress = _Rises(tf.zeros_like(value), value, tf.ones_like(value, tf.bool))
        return Ascent(x, x, gradient, value, x, gradient, value, tf.fill(tf.shape(value), 2.0 * radius), progress)

    def move(self, clean, ascent, plan):
        x, share = ascent.x, tf.where(plan.first, 1.0, _MOMENTUM)
        uphill = balls.per_example(ascent.step_size, x) * self.ball.steepest(ascent.gradient)
        z = self.ball.nearest_image(x + uphill, clean, plan.radius)
        return self.ball.nearest_image(x + share * (z - x) + (1.0 - share) * (x - ascent.previous), clean, plan.radius)

    def check(self, clean, ascent, before, plan):
        """Conditions 1 and 2 of section 3.1 at the end of a window."""
        at_checkpoint, progress = plan.window > 0, ascent.progress
        rises = progress.count + tf.cast(ascent.value > before.value, tf.float32)
        rarely_rose = rises <= _RISING * tf.cast(plan.window, tf.float32)
        stuck = ~progress.halved & (progress.checked_value >= ascent.best_value)
        halve = at_checkpoint & (rarely_rose | stuck)
        progress = _Rises(
            tf.where(at_checkpoint, 0.0, rises),
            tf.where(at_checkpoint, ascent.best_value, progress.checked_value),
            tf.where(at_checkpoint, halve, progress.halved),
        )
        step_size = tf.where(halve, ascent.step_size / 2.0, ascent.step_size)
        return ascent.back_to_best(halve)._replace(step_size=step_size, progress=progress)


class _Sparsity(NamedTuple):
    share: tf.Tensor  # [active] of all values, those that a step changes
    changed: tf.Tensor  # [active] how many values the best point has changed, at the last checkpoint


class Sparse(Rule):
    """L1: first in balls of three and two times the radius, then in the ball itself, each from the best point before.

    At each checkpoint steps get as sparse as the best point. Their size is the radius where that point has become
    sparser, and the ascent goes on from there; where it has not, they grow smaller.
    """

    def plan(self, steps):
        counts, left = [], steps
        for _, share in _RADII[:-1]:
            counts.append(min(math.ceil(share * steps), left))
            left -= counts[-1]
        counts.append(left)
        window = [max(int(_WINDOW * count), 1) for count in counts]
        windows = [[every * ((step + 1) % every == 0) for step in range(count)] for count, every in zip(counts, window)]
        return _plan([(times * self.ball.radius, ends) for (times, _), ends in zip(_RADII, windows)])

    def start(self, here, keys):
        noise = here.confine(seeds.normal(keys, here.images.shape[1:]))
        return self.ball.nearest_image(here.images + noise, here.images, _RADII[0][0] * self.ball.radius)

    def begin(self, clean, x, value, gradient, radius):
        return Ascent(x, x, gradient, value, x, gradient, value, tf.fill(tf.shape(value), radius), _sparsity(x - clean))

    def move(self, clean, ascent, plan):
        gradient, values = ascent.gradient, math.prod(ascent.x.shape[1:])
        counts = values - tf.cast((1.0 - ascent.progress.share) * values, tf.int32)
        direction = balls.signs_of_largest(gradient, tf.clip_by_value(counts, 1, values))
        length = ascent.step_size / tf.maximum(balls.L1.size(direction), 1.0)
        return self.ball.nearest_image(ascent.x + balls.per_example(length, direction) * direction, clean, plan.radius)

    def check(self, clean, ascent, before, plan):
        at_checkpoint, found = plan.window > 0, _sparsity(ascent.best - clean)
        sparser = found.changed / ascent.progress.changed < _SETTLED
        smaller = tf.maximum(ascent.step_size / _SMALLER, _SMALLEST * plan.radius)
        checked = ascent.back_to_best(at_checkpoint & sparser)
        step_size = tf.where(sparser, plan.radius, smaller)
        return checked._replace(
            step_size=tf.where(at_checkpoint, step_size, ascent.step_size),
            progress=_Sparsity(*(tf.where(at_checkpoint, new, old) for new, old in zip(found, ascent.progress))),
        )


def _sparsity(delta) -> _Sparsity:
    changed = tf.math.count_nonzero(delta, axis=[1, 2, 3], dtype=tf.float32)
    return _Sparsity(changed / math.prod(delta.shape[1:]) / _SPARSER, changed)


def rule_for(ball: balls.Ball) -> Rule:
    """The rule of a ball's norm."""
    return Sparse(ball) if isinstance(ball, balls.L1) else Halving(ball)


def checkpoints(steps: int) -> list[int]:
    """For each step, how long the window is that ends with it, or 0.

    Windows begin with 0.22 of all steps and get shorter by 0.03 of them, down to 0.06 (section 3.1).
    """
    window, shorter, least = (max(int(share * steps), 1) for share in (0.22, 0.03, 0.06))
    lengths, last = [0] * steps, window - 1
    while last < steps:
        lengths[last] = window
        window = max(window - shorter, least)
        last += window
    return lengths


def _plan(phases: list[tuple[float, list[int]]]) -> Plan:
    """Of the radius, a number or a scalar tensor, and the windows of each phase."""
    radii = [tf.cast(radius, tf.float32) for radius, windows in phases for _ in range(1 + len(windows))]
    entries = [(place == 0, place == 1, window) for _, windows in phases for place, window in enumerate([0, *windows])]
    return Plan(tf.stack(radii), *map(tf.constant, zip(*entries)))
