"""Carlini and Wagner's l2 attack: the smallest change whose margin is at least the confidence.

Carlini and Wagner, S&P 2017, section VI-A. For each c of a search, Adam minimizes over w

    ||x(w) - x0||_2^2 + c * f(x(w)),        x(w) = (tanh(w) + 1) / 2,        f = max(confidence - margin, 0)

so that x(w) is inside [0, 1] whatever w. c grows tenfold until an example is broken, then it is bisected.
"""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from tfrobust import balls, objectives
from tfrobust.attacks import active, fields
from tfrobust.attacks.attack import Access, Attack
from tfrobust.attacks.steps import Adam

_SQUEEZE = 0.999999  # the authors' factor that keeps the inverse of tanh finite at black and white
_TESTS, _LEAST_BETWEEN = 20, 25  # for progress during one search; steps from one to the next
_PROGRESS = 0.0025  # the share of the loss that has to go meanwhile
_SATURATED = 1e-3  # the derivative of tanh, which is 2e-6 at black and white


class _Search(NamedTuple):
    """The loop over c."""

    best: tf.Tensor  # [examples, ...] the smallest adversarial image so far
    size: tf.Tensor  # [examples] its l2 distance; infinite where there is none
    weight: tf.Tensor  # [examples] c
    lower: tf.Tensor  # [examples] the largest c known to fail
    upper: tf.Tensor  # [examples] the smallest c known to do


class _Best(NamedTuple):
    """What a descent is for."""

    images: tf.Tensor  # the smallest adversarial images so far
    size: tf.Tensor  # [active] their l2 distance; infinite where there is none
    broken: tf.Tensor  # bool [active] whether this c has broken the example


class _Walk(NamedTuple):
    """What goes from step to step of one descent, of the active examples."""

    point: tf.Tensor  # w
    moments: tuple  # Adam's
    best: _Best


class _Round(NamedTuple):
    """What goes from one test for progress to the next, of the active examples."""

    walk: _Walk
    weight: tf.Tensor  # [active] c
    previous: tf.Tensor  # [active] the loss at the last test


@dataclasses.dataclass(frozen=True)
class CarliniWagner(Attack):
    """The minimal-norm attack. Images that it cannot break come back unchanged.

    Attributes:
      norm: `balls.L2`, the norm that is made small.
      confidence: by how much the wrong logit must exceed the label's, in units of logits.
      searches: values of c for each example.
      steps: of Adam for each c; the authors take up to 10,000.
      learning_rate: Adam's, on w.
      initial_const: the first c.
      abort_early: twenty times during `steps`, but not more often than each 25, stop for examples whose loss fell by
        less than 0.25 % since the last time. The authors' ten times and 0.01 % ask for two thirds more gradients.

    Example:
      >>> attack = CarliniWagner(searches=9, steps=500)
      >>> adversarial = attack(logits_fn, images, labels, seed=0)
    """

    norm: fields.L2Norm = balls.L2
    _: dataclasses.KW_ONLY
    confidence: fields.NonNegative = 0.0
    searches: fields.Count = 9
    steps: fields.Count = 1000
    learning_rate: fields.Positive = 0.01
    initial_const: fields.Positive = 1e-3
    abort_early: fields.Flag = True

    name = "carlini_wagner"
    needs = Access.WHITE_BOX

    def run(self, problem):
        start = tf.atanh((2.0 * problem.images - 1.0) * _SQUEEZE)
        none = tf.zeros_like(problem.labels, tf.float32)

        def search(state):
            found = self._descend(problem, start, state)
            # Algorithm in section VI-A, "choosing the constant": by ten until it does, then bisection.
            lower = tf.where(found.broken, state.lower, tf.maximum(state.lower, state.weight))
            upper = tf.where(found.broken, tf.minimum(state.upper, state.weight), state.upper)
            bounded = upper < float("inf")
            weight = tf.where(bounded, (lower + tf.where(bounded, upper, 0.0)) / 2.0, 10.0 * state.weight)
            return (_Search(found.images, found.size, weight, lower, upper),)

        loop = _Search(problem.images, none + float("inf"), none + self.initial_const, none, none + float("inf"))
        return tf.while_loop(lambda _: True, search, (loop,), maximum_iterations=self.searches)[0].best

    def _descend(self, problem, start, search):
        """Adam from the clean images with fresh moments, for one c: the `_Best` after it."""
        interval = max(self.steps // _TESTS, _LEAST_BETWEEN)

        def round_of_steps(count, here, state):
            """Bare steps up to the next test for progress, then one that is tested, unless they were the last."""
            test = (count + 1) * interval
            walk = tf.while_loop(
                lambda step, _: step < tf.minimum(test, self.steps),
                lambda step, walk: (step + 1, self._advance(here, state.weight, step, walk)[0]),
                (tf.where(count > 0, count * interval + 1, 0), state.walk),
            )[1]
            walk, done, previous = tf.cond(
                test < self.steps,
                lambda: self._test(here, state.weight, test, walk, state.previous),
                lambda: (walk, tf.zeros_like(walk.best.broken), state.previous),
            )
            return _Round(walk, state.weight, previous), walk.best, done

        best = _Best(search.best, search.size, tf.zeros_like(search.size, tf.bool))
        walk = _Walk(start, Adam().start(start), best)
        # The loss before the first step, where the distance is 0.
        loss = search.weight * tf.maximum(self.confidence - problem.margin_of(problem.clean), 0.0)
        state = _Round(walk, search.weight, tf.where(_free(start), loss, float("inf")))
        return active.loop(round_of_steps, problem, state, best, -(-self.steps // interval))

    def _test(self, here, weight, step, walk, previous):
        """A step and its test: (the walk after it, bool [active] who gives up, the loss to compare with next time)."""
        after, loss = self._advance(here, weight, step, walk)
        testing = _free(walk.point) & self.abort_early
        return after, testing & (loss > (1.0 - _PROGRESS) * previous), tf.where(testing, loss, previous)

    def _advance(self, here, weight, step, walk):
        """One step of Adam: (the walk after it, float32 [active] the loss before it)."""
        squashed = tf.tanh(walk.point)
        x = (squashed + 1.0) / 2.0
        margin, rise = here.value_and_gradient(objectives.margin, x)
        delta = x - here.images
        square_size = tf.reduce_sum(tf.square(delta), axis=[1, 2, 3])
        loss = square_size + weight * tf.maximum(self.confidence - margin, 0.0)
        size, success = tf.sqrt(square_size), margin > self.confidence
        better = success & (size < walk.best.size)

        pull = balls.per_example(tf.where(margin < self.confidence, weight / 2.0, 0.0), x)
        gradient = (delta - pull * rise) * (1.0 - tf.square(squashed))
        direction, moments = Adam().direction(self.norm, step, gradient, walk.moments)
        best = _Best(
            tf.where(balls.per_example(better, x), x, walk.best.images),
            tf.where(better, size, walk.best.size),
            walk.best.broken | success,
        )
        return _Walk(walk.point - self.learning_rate * direction, moments, best), loss


def _free(point):
    """bool [active]: where some pixel can move. Where all are black or white to float32, the loss cannot fall yet."""
    return tf.reduce_max(1.0 - tf.square(tf.tanh(point)), axis=[1, 2, 3]) > _SATURATED
