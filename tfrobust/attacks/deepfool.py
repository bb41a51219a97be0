"""DeepFool: the nearest decision boundary, linearised again at every step.

Moosavi-Dezfooli, Fawzi and Frossard, CVPR 2016. One step from x, with f_k = z_k - z_source and w_k its gradient:

    k = argmin_k |f_k| / ||w_k||_dual          r = |f_k| / ||w_k||_dual * steepest(w_k)        (eqs. 7 to 11)

The result is (1 + overshoot) times the sum of all r. `minimal_perturbation` stays differentiable through every
step, which is what Deep Defense trains on; `DeepFool` is the attack.
"""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from tfrobust import balls, gradients
from tfrobust.attacks import survivors
from tfrobust.errors import InputError

MNIST_TINY = 5e-6 * 255  # what Deep Defense's authors take for 0-255 pixels, on the [0, 1] scale


class Perturbation(NamedTuple):
    """What `minimal_perturbation` returns.

    Attributes:
      delta: float32 [batch, height, width, channels], overshoot included.
      reached: bool [batch], whether images + delta got a prediction of the kind that was asked for.
      logits: float32 [batch, classes], at the clean images.
    """

    delta: tf.Tensor
    reached: tf.Tensor
    logits: tf.Tensor


class _State(NamedTuple):
    """The loop's state. `rows` are the examples still at work; `previous` and `current` go with them."""

    total: tf.Tensor  # [batch, ...] the sum of all r so far, overshoot not included
    rows: tf.Tensor  # int32 [working]
    previous: tf.Tensor  # int32 [working] the class predicted one step earlier
    current: tf.Tensor  # int32 [working] the class predicted now


def minimal_perturbation(
    logits_fn, images, labels, *, norm=balls.L2, steps=50, overshoot=0.02, candidates=10, tiny=0.0, clip=False
):
    """The smallest perturbation that changes whether an image is classified as its label; differentiable.

    A right prediction is moved to the nearest of the other classes, a wrong one to its label (Deep Defense,
    section 3.4). Only examples that are not there yet are worked on, and the loop ends with the last of them.
    Classes are chosen without gradients; the result is differentiable with respect to whatever `logits_fn`
    depends on, each step through the steps before it.

    Args:
      logits_fn: images -> logits [batch, classes].
      images: float32 [batch, height, width, channels].
      labels: int [batch].
      norm: `balls.L2` or `balls.Linf`.
      steps: the largest number of steps.
      overshoot: the final factor is 1 + overshoot; an example stops when its overshot image is there.
      candidates: among how many classes of largest clean logits to look, the predicted one included.
      tiny: added to every component of w in the norm that a step is divided by, |f| / ||w + tiny||^2 * w, so that a
        vanishing gradient makes no huge step, such as `MNIST_TINY`.
      clip: keep images + delta inside [0, 1] at every step. The original does not.

    Returns:
      A `Perturbation`.

    Raises:
      InputError: for a norm other than l2 and linf.

    Example:
      >>> logits_fn = lambda x: tf.concat([x[:, 0, 0], 1 - x[:, 0, 0]], axis=1)
      >>> minimal_perturbation(logits_fn, tf.constant([[[[0.8]]]]), tf.constant([0])).delta.numpy().item()
      -0.306...
    """
    if norm not in (balls.L2, balls.Linf):
        raise InputError(f"deepfool works in l2 and linf, got {norm!r}")
    labels = tf.cast(labels, tf.int32)
    logits, pullback = gradients.logits_and_pullback(logits_fn, images)
    prediction = _predict(logits)
    right = prediction == labels
    others = tf.math.top_k(logits, min(candidates, logits.shape[1])).indices[:, 1:]
    goals = tf.where(right[:, None], others, labels[:, None])

    def moved(total, rows, factor=1.0):
        x = tf.gather(images, rows) + factor * tf.gather(total, rows)
        return tf.clip_by_value(x, 0.0, 1.0) if clip else x

    def advance(state, logits, pullback):
        goal = _nearest(norm, logits, pullback, tf.gather(goals, state.rows), state.current)
        # The normal is that of the boundary to the class predicted now. The margin is measured from the class
        # predicted one step earlier, as in the authors' code; the two differ only for a wrong prediction that
        # passes through several classes on its way.
        margin = tf.reduce_sum(logits * _difference(goal, state.previous, logits), axis=1)
        normal = pullback(_difference(goal, state.current, logits))
        length = tf.abs(margin) * norm.dual(normal) / tf.maximum(norm.dual(normal + tiny), 1e-12) ** 2
        step = balls.per_example(length, normal) * norm.steepest(normal)
        total = tf.tensor_scatter_nd_add(state.total, state.rows[:, None], step)
        shown = tf.stop_gradient(moved(total, state.rows, 1.0 + overshoot))
        prediction = _predict(gradients.for_rows(logits_fn, state.rows)(shown))
        unmoved = (prediction == tf.gather(labels, state.rows)) == tf.gather(right, state.rows)
        return _State(total, state.rows[unmoved], state.current[unmoved], prediction[unmoved])

    def body(state):
        working_fn = gradients.for_rows(logits_fn, state.rows)
        return (advance(state, *gradients.logits_and_pullback(working_fn, moved(state.total, state.rows))),)

    every = tf.range(tf.shape(images)[0])
    state = advance(_State(tf.zeros_like(images), every, prediction, prediction), logits, pullback)
    (state,) = tf.while_loop(
        lambda state: tf.size(state.rows) > 0,
        body,
        (state,),
        shape_invariants=(_State(images.shape, *[tf.TensorShape([None])] * 3),),
        maximum_iterations=steps - 1,
    )
    delta = moved(state.total, every, 1.0 + overshoot) - images if clip else (1.0 + overshoot) * state.total
    reached = tf.tensor_scatter_nd_update(tf.ones_like(right), state.rows[:, None], tf.zeros_like(state.rows, tf.bool))
    return Perturbation(delta, reached, logits)


def _predict(logits):
    return tf.argmax(logits, axis=1, output_type=tf.int32)


def _difference(goal, source, logits):
    """Weights that turn logits into z_goal - z_source: [batch, classes]."""
    classes = tf.shape(logits)[1]
    return tf.one_hot(goal, classes, dtype=logits.dtype) - tf.one_hot(source, classes, dtype=logits.dtype)


def _nearest(norm, logits, pullback, goals, source):
    """The goal whose linearised boundary is nearest: int32 [batch]. One backward pass per column of `goals`."""
    distances = []
    for goal in tf.unstack(goals, axis=1):
        difference = _difference(goal, source, logits)
        margin = tf.abs(tf.reduce_sum(logits * difference, axis=1))
        distances.append(margin / tf.maximum(norm.dual(pullback(difference)), 1e-12))
    nearest = tf.argmin(tf.stack(distances, axis=1), axis=1)
    return tf.gather(goals, nearest, axis=1, batch_dims=1)


@dataclasses.dataclass(frozen=True)
class DeepFool:
    """The minimal-norm attack. Already misclassified images come back unchanged, and so do those it cannot move.

    Attributes:
      norm: `balls.L2` or `balls.Linf`, the norm that is made small.
      steps, overshoot, candidates: as in `minimal_perturbation`; the values are the original's.

    Example:
      >>> attack = DeepFool(norm=balls.Linf)
      >>> adversarial = attack(logits_fn, images, labels, seed=0)
    """

    norm: type[balls.Ball] = balls.L2
    steps: int = 50
    overshoot: float = 0.02
    candidates: int = 10

    needs = "gradients"

    def __post_init__(self):
        if self.norm not in (balls.L2, balls.Linf):
            raise InputError(f"deepfool works in l2 and linf, got {self.norm!r}")
        whole = isinstance(self.steps, int) and isinstance(self.candidates, int)
        if not whole or self.steps < 1 or self.candidates < 2 or self.overshoot < 0:
            raise InputError(f"deepfool needs whole steps >= 1, candidates >= 2 and overshoot >= 0, got {self}")

    def __call__(self, logits_fn, images, labels, *, seed):
        """Images [batch, height, width, channels] in [0, 1] -> adversarial images. `seed` is not used."""
        del seed
        images, labels = tf.convert_to_tensor(images), tf.cast(labels, tf.int32)
        rows, _ = survivors.standing(logits_fn, images, labels)

        def move():
            clean, right = tf.gather(images, rows), tf.gather(labels, rows)
            found = minimal_perturbation(
                gradients.for_rows(logits_fn, rows),
                clean,
                right,
                norm=self.norm,
                steps=self.steps,
                overshoot=self.overshoot,
                candidates=self.candidates,
                clip=True,
            )
            adversarial = tf.clip_by_value(clean + found.delta, 0.0, 1.0)
            # A random model may have changed its mind since: then the perturbation leads back to the label.
            broken = found.reached & (_predict(found.logits) == right)
            moved = tf.where(balls.per_example(broken, clean), adversarial, clean)
            return tf.tensor_scatter_nd_update(images, rows[:, None], moved)

        return tf.cond(tf.size(rows) > 0, move, lambda: images)
