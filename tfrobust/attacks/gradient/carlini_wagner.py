"""Carlini and Wagner's l2 attack: the smallest change whose margin is at least the confidence.

Carlini and Wagner, S&P 2017, section VI-A. For each c of a search, Adam minimizes over w

    ||x(w) - x0||_2^2 + c * f(x(w)),        x(w) = (tanh(w) + 1) / 2,        f = max(confidence - margin, 0)

so that x(w) is inside [0, 1] whatever w. c grows tenfold until an example is broken, then it is bisected. As in the authors'
code, a last search with their largest c, 1e10, is for what no c has broken; for the rest it would repeat a search.
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
from tfrobust.attacks.steps import Adam

_SQUEEZE = 0.999999  # the authors' factor that keeps the inverse of tanh finite at black and white
_TESTS, _LEAST_BETWEEN = 20, 25  # for progress during one search; steps from one to the next
_PROGRESS = 0.0025  # the share of the loss that has to go meanwhile
_WAITING = 0.01, 2.0  # the least of the descent that is free for a test: a share of it, times the asked progress
_LARGEST = 1e10  # c, the authors' upper bound


class _Walk(NamedTuple):
    """What goes from step to step of one descent, of the active examples."""

    point: tf.Tensor  # w
    moments: tuple  # Adam's
    nearest: Nearest
    broken: tf.Tensor  # bool [active] whether this c has broken the example


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
      searches: values of c for each example; what none of them has broken gets one more, 1e10.
      steps: of Adam for each c; the authors take up to 10,000.
      learning_rate: Adam's, on w.
      initial_const: the first c.
      abort_early: twenty times during `steps`, but not more often than each 25, stop for examples whose loss fell by
        less than 0.25 % since the last time, although it could have fallen: an example whose black and white pixels,
        which start slowly, hold nearly all of the descent is waited for. The authors' ten times and 0.01 % ask for two
        thirds more gradients.

    Memory: 18 batches of images; values of c are one after the other.

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

    @property
    def _interval(self):
        """Steps from one test for progress to the next."""
        return max(self.steps // _TESTS, _LEAST_BETWEEN)

    def run(self, problem: Problem) -> tf.Tensor:
        start = tf.atanh((2.0 * problem.images - 1.0) * _SQUEEZE)

        def search(count, constants, nearest):
            repeated = count == self.searches
            weight = tf.where(repeated, _LARGEST, constants.weight)
            done = repeated & (nearest.size < float("inf"))
            nearest, broken = self._descend(problem, start, weight, nearest, done)
            return count + 1, constants._replace(weight=weight).after(broken), nearest

        constants = Constants.first(tf.size(problem.labels), self.initial_const)
        return tf.while_loop(
            lambda count, _, nearest: (count < self.searches) | tf.reduce_any(nearest.size == float("inf")),
            search,
            (tf.constant(0), constants, Nearest.none(problem)),
            maximum_iterations=self.searches + 1,
        )[2].images

    def _descend(self, problem, start, weight, nearest, done):
        """Adam from the clean images with fresh moments, for one c, where not done.

        Returns:
          (the nearest after it, bool [examples] whether this c has broken the example).
        """
        interval = self._interval

        def round_of_steps(count, here, state):
            """Bare steps up to the next test for progress, then one that is tested, unless they were the last."""
            test = (count + 1) * interval
            walk = tf.while_loop(
                lambda step, _: step < tf.minimum(test, self.steps),
                lambda step, walk: (step + 1, self._advance(here, state.weight, step, walk)[0]),
                (count * interval + 1, state.walk),
            )[1]
            walk, done, previous = tf.cond(
                test < self.steps,
                lambda: self._test(here, state.weight, test, walk, state.previous),
                lambda: (walk, tf.zeros_like(walk.broken), state.previous),
            )
            return _Round(walk, state.weight, previous), (walk.nearest, walk.broken), done

        walk = _Walk(start, Adam().start(start), nearest, tf.zeros_like(nearest.size, tf.bool))
        nothing = tf.fill(tf.shape(weight), float("inf"))
        walk, _, previous = self._test(problem, weight, tf.constant(0), walk, nothing)
        state, result = _Round(walk, weight, previous), (walk.nearest, walk.broken)
        return active.loop(round_of_steps, problem, state, result, -(-(self.steps - 1) // interval), done)

    def _test(self, here, weight, step, walk, previous):
        """A step and its test: (the walk after it, bool [active] who gives up, the loss to compare with next time)."""
        after, loss, slope = self._advance(here, weight, step, walk)
        testing = _free(walk.point, slope, loss, self.learning_rate * self._interval) & self.abort_early
        return after, testing & (loss > (1.0 - _PROGRESS) * previous), tf.where(testing, loss, float("inf"))

    def _advance(self, here, weight, step, walk):
        """One step of Adam: (the walk after it, float32 [active] the loss before it, half its gradient in x)."""
        squashed = tf.tanh(walk.point)
        x = (squashed + 1.0) / 2.0
        margin, rise = here.value_and_gradient(objectives.margin, x)
        delta = x - here.images
        square_size = tf.reduce_sum(tf.square(delta), axis=[1, 2, 3])
        loss = square_size + weight * tf.maximum(self.confidence - margin, 0.0)
        size, success = tf.sqrt(square_size), margin > self.confidence

        pull = balls.per_example(tf.where(margin < self.confidence, weight / 2.0, 0.0), x)
        slope = delta - pull * rise
        direction, moments = Adam().direction(self.norm, step, slope * (1.0 - tf.square(squashed)), walk.moments)
        nearest, broken = walk.nearest.or_nearer(x, size, success), walk.broken | success
        return _Walk(walk.point - self.learning_rate * direction, moments, nearest, broken), loss, slope


def _free(point, slope, loss, reach):
    """bool [active]: whether the loss could have fallen, so that its fall says something.

    Black and white pixels stand still for hundreds of steps: there the derivative of tanh is 2e-6. An example waits for
    them while they hold nearly all of the descent; that others, which do not matter, are free does not count.

    Args:
      point: w [active, ...].
      slope: half the gradient of the loss in x.
      loss: [active].
      reach: how far Adam comes in w between two tests.
    """
    squashed, size = tf.tanh(point), tf.abs(slope)
    inward = tf.where(squashed * slope > 0.0, size, 0.0)  # what pushes against the box is held for good
    least_share, least_progress = _WAITING
    held_back = tf.maximum(least_share * balls.L1.size(inward), least_progress * _PROGRESS * loss / reach)
    moving = balls.L1.size((1.0 - tf.square(squashed)) * slope) >= held_back
    # Each pixel by itself would go to where its distance balances its pull, or to the box. If all that is too little, the
    # example is done, or c is too small for it.
    way = tf.minimum(size, (1.0 + tf.sign(slope) * squashed) / 2.0)
    return moving | (tf.reduce_sum(way * (2.0 * size - way), axis=[1, 2, 3]) <= _PROGRESS * loss)
