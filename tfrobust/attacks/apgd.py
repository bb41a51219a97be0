"""Auto-PGD: projected gradient ascent whose step size follows its own progress.

Croce and Hein, ICML 2020 ("Reliable evaluation..."), algorithm 1. With P the projection on the ball and [0, 1]:

    z = P(x + step_size * steepest(gradient))
    x <- P(x + 0.75 * (z - x) + 0.25 * (x - previous x))                                    eq. 2

At each checkpoint the step size is halved, and the ascent goes on from the best point, where it made no progress.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tfrobust import balls, gradients, objectives, seeds
from tfrobust.attacks import survivors
from tfrobust.errors import InputError

_MOMENTUM = 0.75  # alpha of eq. 2; 1 in the first step
_RISING = 0.75  # rho of condition 1: the share of steps that must raise the objective


class _Ascent(NamedTuple):
    """The loop's state. From `rows` on: of the examples still at work."""

    step: tf.Tensor
    final: tf.Tensor  # [examples of this run, ...] where those that are done ended
    broken: tf.Tensor  # bool [examples of this run]
    rows: tf.Tensor  # int32 [working]
    x: tf.Tensor
    previous: tf.Tensor
    gradient: tf.Tensor  # at x
    value: tf.Tensor  # [working] the objective at the last point that was evaluated
    best: tf.Tensor  # the point of the largest value so far, and what goes with it
    best_gradient: tf.Tensor
    best_value: tf.Tensor
    step_size: tf.Tensor  # [working]
    rises: tf.Tensor  # [working] how often the value rose since the last checkpoint
    checked_value: tf.Tensor  # [working] best_value at the last checkpoint
    halved: tf.Tensor  # bool [working] whether the last checkpoint halved the step size


@dataclasses.dataclass(frozen=True)
class APGD:
    """Auto-PGD, untargeted or towards several wrong classes one after the other.

    An example is done as soon as an iterate is misclassified. One that resists returns the point with the largest
    objective of its last run.

    Attributes:
      ball: the allowed perturbations, `Linf(radius)` or `L2(radius)`.
      steps: gradient evaluations per run, beside the one at the start.
      restarts: runs from different random points on the ball's surface; with `targets`, for each of them.
      objective: what is maximised, from `objectives`; not used with `targets`.
      targets: 0, or towards how many of the wrong classes to run, in the order of the clean image's logits; a model
        with fewer has fewer. The objective is the targeted DLR, or for fewer than four classes, where that is not
        defined, the target's logit minus the label's.

    Example:
      >>> attack = APGD(balls.Linf(8 / 255), objective=objectives.dlr)
      >>> adversarial = attack(logits_fn, images, labels, seed=0)
    """

    ball: balls.Ball
    steps: int = 100
    restarts: int = 1
    objective: Callable = objectives.cross_entropy
    targets: int = 0

    needs = "gradients"

    def __post_init__(self):
        if not isinstance(self.ball, (balls.Linf, balls.L2)):
            raise InputError(f"apgd needs a linf or l2 ball with a radius, such as linf(8/255); got {self.ball!r}")
        for name, least in (("steps", 1), ("restarts", 1), ("targets", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise InputError(f"{name} must be a whole number of at least {least}, got {value!r}")
        if not callable(self.objective) or isinstance(self.objective, type):
            raise InputError(f"objective must be cross_entropy, margin or dlr, got {self.objective!r}")

    def __call__(self, logits_fn, images, labels, *, seed):
        """Attacks a batch.

        Args:
          logits_fn: images -> logits [batch, classes].
          images: float32 [batch, height, width, channels] in [0, 1].
          labels: int [batch], the true labels.
          seed: an int, or per-example seeds int32 [batch, 2] from `seeds.per_example`.

        Returns:
          float32 images of the same shape, inside the ball and inside [0, 1].
        """
        images, labels = tf.convert_to_tensor(images), tf.cast(labels, tf.int32)
        keys = seeds.resolve(seed, images)
        rows, logits = survivors.standing(logits_fn, images, labels)
        targets = min(self.targets, logits.shape[1] - 1)
        goals = tf.math.top_k(logits, targets + 1).indices[
            :, 1:
        ]  # the first is the label, where an example is standing

        def run(index, rows):
            clean, truth = tf.gather(images, rows), tf.gather(labels, rows)
            start = self.ball.sample(seeds.fold_in(tf.gather(keys, rows), index), images.shape[1:])
            surface = start * balls.per_example(self.ball.radius / tf.maximum(self.ball.size(start), 1e-12), start)
            goal = tf.gather(tf.gather(goals, rows), index // self.restarts, axis=1) if targets else truth

            def evaluate(chosen, x):
                return self._evaluate(
                    gradients.for_rows(logits_fn, tf.gather(rows, chosen)),
                    x,
                    tf.gather(truth, chosen),
                    tf.gather(goal, chosen),
                )

            return self._run(evaluate, clean, surface)

        return survivors.repeat(run, max(targets, 1) * self.restarts, images, rows)[0]

    def _evaluate(self, logits_fn, x, labels, goals):
        """The objective [working], its gradient, and whether the examples are misclassified: bool [working]."""

        def objective(logits, labels):
            if not self.targets:
                value = self.objective(logits, labels)
            else:
                aim = objectives.targeted_dlr if logits.shape[1] >= 4 else objectives.targeted_margin
                value = aim(logits, labels, goals)
            return tf.concat([value[:, None], tf.stop_gradient(logits)], axis=1)  # of a random model, the mean logits

        found, gradient = gradients.value_and_gradient(objective, logits_fn, x, labels)
        return found[:, 0], gradient, objectives.margin(found[:, 1:], labels) > 0.0

    def _run(self, evaluate, clean, start):
        """One ascent from clean + start: (images, bool [examples] whether they are broken)."""
        windows = tf.constant(checkpoints(self.steps))

        def inside(x, rows):
            origin = tf.gather(clean, rows)
            return tf.clip_by_value(origin + self.ball.project(x - origin), 0.0, 1.0)

        def advance(state):
            x, rows = state.x, state.rows
            share = tf.where(state.step > 0, _MOMENTUM, 1.0)
            uphill = balls.per_example(state.step_size, x) * self.ball.steepest(state.gradient)
            z = inside(x + uphill, rows)
            moved = inside(x + share * (z - x) + (1.0 - share) * (x - state.previous), rows)
            value, gradient, broken = evaluate(rows, moved)
            state = _record(state, moved, value, gradient)
            state = _check(state, tf.gather(windows, state.step))
            return (_retire(state._replace(step=state.step + 1), moved, broken),)

        rows = tf.range(tf.shape(clean)[0])
        x = inside(clean + start, rows)
        value, gradient, broken = evaluate(rows, x)
        step_size = tf.fill(tf.shape(value), 2.0 * self.ball.radius)
        never = tf.zeros_like(rows, tf.bool)
        best = (x, gradient, value)
        # `halved` is true to begin with, as in the authors' code: condition 2 does not hold at the first checkpoint.
        state = _Ascent(
            tf.constant(0), x, never, rows, x, x, gradient, value, *best, step_size, 0.0 * value, value, ~never
        )
        vector, many = tf.TensorShape([None]), tf.TensorShape([None, *clean.shape[1:]])
        shapes = [many, many, many, vector, many, many, *[vector] * 5]
        state = tf.while_loop(
            lambda state: tf.size(state.rows) > 0,
            advance,
            (_retire(state, x, broken),),
            shape_invariants=(_Ascent(tf.TensorShape([]), many, vector, vector, *shapes),),
            maximum_iterations=self.steps,
        )[0]
        return tf.tensor_scatter_nd_update(state.final, state.rows[:, None], state.best), state.broken


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


def _retire(state, x, broken):
    """The state without the examples that are broken at x, which is where these end."""
    ended = tf.boolean_mask(state.rows, broken)[:, None]
    kept = tf.where(~broken)[:, 0]
    return _Ascent(
        state.step,
        tf.tensor_scatter_nd_update(state.final, ended, tf.boolean_mask(x, broken)),
        tf.tensor_scatter_nd_update(state.broken, ended, tf.ones_like(ended[:, 0], tf.bool)),
        *[tf.gather(part, kept) for part in state[3:]],
    )


def apgd(ball, steps=100, restarts=1, objective=objectives.cross_entropy):
    """Auto-PGD, untargeted (algorithm 1)."""
    return APGD(ball, steps, restarts, objective)


def apgd_targeted(ball, steps=100, restarts=1, targets=9):
    """Auto-PGD on the targeted DLR (eq. 7), towards one wrong class after the other, likeliest first."""
    if not isinstance(targets, int) or targets < 1:
        raise InputError(f"targets must be a whole number of at least 1, got {targets!r}")
    return APGD(ball, steps, restarts, targets=targets)
