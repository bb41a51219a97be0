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
_PROGRESS = 0.0015  # the share of the loss that has to go meanwhile
_SATURATED = 1e-3  # the derivative of tanh, which is 2e-6 at black and white


class _Search(NamedTuple):
    """The loop over c. All are of the whole batch."""

    best: tf.Tensor  # [batch, ...] the smallest adversarial image so far
    size: tf.Tensor  # [batch] its l2 distance; infinite where there is none
    weight: tf.Tensor  # [batch] c
    lower: tf.Tensor  # [batch] the largest c known to fail
    upper: tf.Tensor  # [batch] the smallest c known to do


class _Descent(NamedTuple):
    """The loop over steps for one c. From `rows` on: of the examples still at work."""

    step: tf.Tensor
    best: tf.Tensor  # [batch, ...] and size, broken: [batch]
    size: tf.Tensor
    broken: tf.Tensor  # whether this c has broken the example
    rows: tf.Tensor  # int32 [working]
    point: tf.Tensor  # w
    mean: tf.Tensor  # Adam's two moments of the gradient
    square: tf.Tensor
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
        less than 0.15 % since the last time. The authors' ten times and 0.01 % ask for half as many gradients again.
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
        """Adam from the clean images with fresh moments, for one c: the final `_Descent`."""
        interval = max(self.steps // _TESTS, _LEAST_BETWEEN)

        def advance(state):
            x0, c = tf.gather(images, state.rows), tf.gather(search.weight, state.rows)
            squashed = tf.tanh(state.point)
            x = (squashed + 1.0) / 2.0
            working_fn = gradients.for_rows(logits_fn, state.rows)
            margin, rise = gradients.value_and_gradient(self._aim, working_fn, x, tf.gather(labels, state.rows))
            delta = x - x0
            square_size = tf.reduce_sum(tf.square(delta), axis=[1, 2, 3])
            loss = square_size + c * tf.maximum(self.confidence - margin, 0.0)
            state = _keep_best(state, x, tf.sqrt(square_size), margin > self.confidence)

            pull = balls.per_example(tf.where(margin < self.confidence, c, 0.0), x)
            gradient = (2.0 * delta - pull * rise) * (1.0 - tf.square(squashed)) / 2.0
            step, mean, square = adam.step(state.step, state.mean, state.square, gradient, self.learning_rate)
            point = state.point - step
            # Where every pixel is still black or white to float32, the loss cannot have fallen yet.
            free = tf.reduce_max(1.0 - tf.square(squashed), axis=[1, 2, 3]) > _SATURATED
            testing = (state.step % interval == 0) & self.abort_early & free
            kept = ~(testing & (loss > (1.0 - _PROGRESS) * state.previous))
            previous = tf.where(testing, loss, state.previous)
            moving = [kept_of[kept] for kept_of in (state.rows, point, mean, square, previous)]
            return (_Descent(state.step + 1, state.best, state.size, state.broken, *moving),)

        point = tf.gather(start, working)
        zero, never = tf.zeros_like(point), tf.fill(tf.shape(working), float("inf"))
        state = _Descent(tf.constant(0), search.best, search.size, search.size < 0.0, working, point, zero, zero, never)
        batch, vector, scalar = images.shape, tf.TensorShape([None]), tf.TensorShape([])
        many = tf.TensorShape([None, *images.shape[1:]])
        every = images.shape[:1]
        return tf.while_loop(
            lambda state: tf.size(state.rows) > 0,
            advance,
            (state,),
            shape_invariants=(_Descent(scalar, batch, every, every, vector, many, many, many, vector),),
            maximum_iterations=self.steps,
        )[0]


def _keep_best(state, x, size, success):
    """The state with each working example's smallest success so far."""
    better = success & (size < tf.gather(state.size, state.rows))
    smaller, broken = state.rows[better][:, None], state.rows[success][:, None]
    return state._replace(
        best=tf.tensor_scatter_nd_update(state.best, smaller, x[better]),
        size=tf.tensor_scatter_nd_update(state.size, smaller, size[better]),
        broken=tf.tensor_scatter_nd_update(state.broken, broken, tf.ones_like(broken[:, 0], tf.bool)),
    )
