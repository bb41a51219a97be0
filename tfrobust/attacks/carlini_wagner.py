"""Carlini and Wagner's l2 attack: the smallest change whose margin is at least the confidence.

Carlini and Wagner, S&P 2017, section VI-A. For each c of a search, Adam minimises over w

    ||x(w) - x0||_2^2 + c * f(x(w)),        x(w) = (tanh(w) + 1) / 2,        f = max(confidence - margin, 0)

so that x(w) is inside [0, 1] whatever w. c grows tenfold until an example is broken, then it is bisected.
"""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from tfrobust import balls, gradients, objectives
from tfrobust.attacks import adam
from tfrobust.errors import InputError

_SQUEEZE = 0.999999  # the authors' factor that keeps the inverse of tanh finite at black and white
_TESTS, _LEAST_BETWEEN = 20, 25  # for progress during one search; steps from one to the next
_PROGRESS = 0.0025  # the share of the loss that has to go meanwhile
_SATURATED = 1e-3  # the derivative of tanh, which is 2e-6 at black and white


class _Search(NamedTuple):
    """The loop over c. All are of the whole batch."""

    best: tf.Tensor  # [batch, ...] the smallest adversarial image so far
    size: tf.Tensor  # [batch] its l2 distance; infinite where there is none
    weight: tf.Tensor  # [batch] c
    lower: tf.Tensor  # [batch] the largest c known to fail
    upper: tf.Tensor  # [batch] the smallest c known to do


class _Walk(NamedTuple):
    """Where the examples still at work are. All are of these examples."""

    point: tf.Tensor  # w
    mean: tf.Tensor  # Adam's two moments of the gradient
    square: tf.Tensor
    best: tf.Tensor  # [working, ...] as in _Search
    size: tf.Tensor
    broken: tf.Tensor  # bool [working] whether this c has broken the example


class _Descent(NamedTuple):
    """The loop over steps for one c, in rounds from one test for progress to the next."""

    step: tf.Tensor
    best: tf.Tensor  # [batch, ...], and [batch] the next two: of the examples that have left
    size: tf.Tensor
    broken: tf.Tensor
    rows: tf.Tensor  # int32 [working]
    walk: _Walk
    previous: tf.Tensor  # [working] the loss at the last test for progress


@dataclasses.dataclass(frozen=True)
class CarliniWagner:
    """The minimal-norm attack. Already misclassified images come back unchanged, and so do those it cannot break.

    Attributes:
      norm: `balls.L2`, the norm that is made small.
      confidence: by how much the wrong logit must exceed the label's, in units of logits.
      searches: values of c for each example.
      steps: of Adam for each c; the authors take up to 10,000.
      learning_rate: Adam's, on w.
      initial_const: the first c.
      abort_early: twenty times during `steps`, but not more often than each 25, stop for examples whose loss fell by
        less than 0.25 % since the last time. The authors' ten times and 0.01 % ask for two thirds more gradients.
      targeted: `labels` are the answers that the attacker wants.

    Example:
      >>> attack = CarliniWagner(searches=9, steps=500)
      >>> adversarial = attack(logits_fn, images, labels, seed=0)
    """

    norm: type[balls.Ball] = balls.L2
    confidence: float = 0.0
    searches: int = 9
    steps: int = 1000
    learning_rate: float = 0.01
    initial_const: float = 1e-3
    abort_early: bool = True
    targeted: bool = False

    needs = "gradients"

    def __post_init__(self):
        if self.norm is not balls.L2:
            raise InputError(f"carlini_wagner works in l2, got {self.norm!r}")
        if not all(isinstance(value, int) and value >= 1 for value in (self.searches, self.steps)):
            raise InputError(f"carlini_wagner needs whole searches and steps of at least 1, got {self}")
        if not (self.confidence >= 0 and self.learning_rate > 0 and self.initial_const > 0):
            raise InputError(
                f"carlini_wagner needs confidence >= 0, learning_rate > 0 and initial_const > 0, got {self}"
            )

    def __call__(self, logits_fn, images, labels, *, seed):
        """Images [batch, height, width, channels] in [0, 1] -> adversarial images. `seed` is not used."""
        del seed
        labels = tf.cast(labels, tf.int32)
        start = tf.atanh((2.0 * images - 1.0) * _SQUEEZE)
        done = self._aim(logits_fn(images), labels) > 0.0
        working = tf.cast(tf.where(~done)[:, 0], tf.int32)

        def search(state):
            found = self._descend(logits_fn, images, labels, start, working, state)
            # Algorithm in section VI-A, "choosing the constant": by ten until it does, then bisection.
            lower = tf.where(found.broken, state.lower, tf.maximum(state.lower, state.weight))
            upper = tf.where(found.broken, tf.minimum(state.upper, state.weight), state.upper)
            bounded = upper < float("inf")
            weight = tf.where(bounded, (lower + tf.where(bounded, upper, 0.0)) / 2.0, 10.0 * state.weight)
            return (_Search(found.best, found.size, weight, lower, upper),)

        none = tf.zeros_like(labels, tf.float32)
        loop = _Search(tf.identity(images), none + float("inf"), none + self.initial_const, none, none + float("inf"))
        return tf.while_loop(lambda _: tf.size(working) > 0, search, (loop,), maximum_iterations=self.searches)[0].best

    def _aim(self, logits, labels):
        """The margin of the attacker: positive where he has what he wants."""
        objective = objectives.targeted(objectives.margin) if self.targeted else objectives.margin
        return objective(logits, labels)

    def _descend(self, logits_fn, images, labels, start, working, search):
        """Adam from the clean images with fresh moments, for one c: the `_Descent` that all have left."""
        interval = max(self.steps // _TESTS, _LEAST_BETWEEN)

        def stepper(rows):
            """The function (step, walk) -> (walk after one step, float32 [working] the loss before it)."""
            clean, c, goals = (tf.gather(part, rows) for part in (images, search.weight, labels))
            working_fn = gradients.for_rows(logits_fn, rows)

            def advance(step, walk):
                squashed = tf.tanh(walk.point)
                x = (squashed + 1.0) / 2.0
                margin, rise = gradients.value_and_gradient(self._aim, working_fn, x, goals)
                delta = x - clean
                square_size = tf.reduce_sum(tf.square(delta), axis=[1, 2, 3])
                loss = square_size + c * tf.maximum(self.confidence - margin, 0.0)
                size, success = tf.sqrt(square_size), margin > self.confidence
                better = success & (size < walk.size)

                pull = balls.per_example(tf.where(margin < self.confidence, c / 2.0, 0.0), x)
                gradient = (delta - pull * rise) * (1.0 - tf.square(squashed))
                move, mean, square = adam.step(step, walk.mean, walk.square, gradient, self.learning_rate)
                best = tf.where(balls.per_example(better, x), x, walk.best)
                size, broken = tf.where(better, size, walk.size), walk.broken | success
                return _Walk(walk.point - move, mean, square, best, size, broken), loss

            return advance

        def go_on(state):
            walk, loss = stepper(state.rows)(state.step, state.walk)
            # Where every pixel is still black or white to float32, the loss cannot have fallen yet.
            free = tf.reduce_max(1.0 - tf.square(tf.tanh(state.walk.point)), axis=[1, 2, 3]) > _SATURATED
            testing = free & self.abort_early
            kept = ~(testing & (loss > (1.0 - _PROGRESS) * state.previous))
            state = _leave(state._replace(walk=walk, previous=tf.where(testing, loss, state.previous)), kept)
            advance = stepper(state.rows)
            step, walk = tf.while_loop(
                lambda step, _: (step < self.steps) & (tf.size(state.rows) > 0),
                lambda step, walk: (step + 1, advance(step, walk)[0]),
                (state.step + 1, state.walk),
                maximum_iterations=interval - 1,
            )
            return (state._replace(step=step, walk=walk),)

        point = tf.gather(start, working)
        zero, none = tf.zeros_like(point), tf.zeros_like(search.size, tf.bool)
        best, size, broken = (tf.gather(part, working) for part in (search.best, search.size, none))
        walk = _Walk(point, zero, zero, best, size, broken)
        never = tf.fill(tf.shape(working), float("inf"))
        batch, vector, scalar = images.shape, tf.TensorShape([None]), tf.TensorShape([])
        many = tf.TensorShape([None, *images.shape[1:]])
        every = images.shape[:1]
        shapes = _Descent(scalar, batch, every, every, vector, _Walk(many, many, many, many, vector, vector), vector)
        state = tf.while_loop(
            lambda state: tf.size(state.rows) > 0,
            go_on,
            (_Descent(tf.constant(0), search.best, search.size, none, working, walk, never),),
            shape_invariants=(shapes,),
            maximum_iterations=-(-self.steps // interval),
        )[0]
        return _leave(state, tf.zeros_like(state.rows, tf.bool))


def _leave(state, kept):
    """The state without the examples that are not kept, whose results are noted."""
    walk, gone = state.walk, state.rows[~kept][:, None]
    noted = {
        name: tf.tensor_scatter_nd_update(getattr(state, name), gone, getattr(walk, name)[~kept])
        for name in ("best", "size", "broken")
    }
    walk = _Walk(*[part[kept] for part in walk])
    return state._replace(rows=state.rows[kept], walk=walk, previous=state.previous[kept], **noted)
