"""DeepFool: the nearest decision boundary, linearized again at every step.

Moosavi-Dezfooli, Fawzi and Frossard, CVPR 2016. One step from x, with f_k = z_k - z_source and w_k its gradient:

    k = argmin_k |f_k| / ||w_k||_dual          r = |f_k| / ||w_k||_dual * steepest(w_k)        (eqs. 7 to 11)

The result is (1 + overshoot) times the sum of all r. `minimal_perturbation` stays differentiable through every
step, which is what Deep Defense trains on; `DeepFool` is the attack.
"""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from tfrobust import balls
from tfrobust.attacks import active, fields
from tfrobust.attacks.attack import Access, Attack
from tfrobust.attacks.gradient import classes
from tfrobust.attacks.problem import LogitsFn, Problem
from tfrobust.errors import InputError

_ROUNDING = 2.0**-23  # of a difference of logits, as a share of the largest: one float32 step
_LEAST_STEP = 1e-4  # from a tie, where the distance is 0 and no step would be made
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
    """What goes from step to step, of the active examples."""

    total: tf.Tensor  # [active, ...] the sum of all r so far, overshoot not included
    goals: tf.Tensor  # int32 [active, candidates] the classes to move to
    correct: tf.Tensor  # bool [active] whether the clean image is classified as its label
    previous: tf.Tensor  # int32 [active] the class predicted one step earlier
    current: tf.Tensor  # int32 [active] the class predicted now


def minimal_perturbation(
    logits_fn: LogitsFn,
    images: tf.Tensor,
    labels: tf.Tensor,
    *,
    norm: type[balls.Ball] = balls.L2,
    steps: int = 50,
    overshoot: float = 0.02,
    candidates: int = 10,
    tiny: float = 0.0,
    clip: bool = False,
) -> Perturbation:
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
    problem = Problem(logits_fn, images, labels)
    return _minimize(problem, _Walk(norm, steps, overshoot, candidates, tiny, clip))


class _Walk(NamedTuple):
    """The options of `minimal_perturbation`."""

    norm: type[balls.Ball]
    steps: int
    overshoot: float
    candidates: int
    tiny: float
    clip: bool
    leave_ties: bool = False

    def moved(self, here, total, factor=1.0):
        x = here.images + factor * total
        return tf.clip_by_value(x, 0.0, 1.0) if self.clip else x

    def advance(self, here, state, logits, pullback):
        """One step from where logits and pullback were taken: (state, result, done) for `active.loop`."""
        goal = _nearest(self.norm, logits, pullback, state.goals, state.current)
        # The normal is that of the boundary to the class predicted now. The margin is measured from the class
        # predicted one step earlier, as in the authors' code; the two differ only for a misclassified image that
        # passes through several classes on its way.
        margin = tf.reduce_sum(logits * _difference(goal, state.previous, logits), axis=1)
        normal = pullback(_difference(goal, state.current, logits))
        if self.leave_ties:
            margin = _off_a_tie(margin, logits, self.norm.dual(normal))
        length = tf.abs(margin) * self.norm.dual(normal) / tf.maximum(self.norm.dual(normal + self.tiny), 1e-12) ** 2
        total = state.total + balls.per_example(length, normal) * self.norm.steepest(normal)
        shown = tf.stop_gradient(self.moved(here, total, 1.0 + self.overshoot))
        predicted = here.predictions(shown)
        reached = (predicted == here.labels) != state.correct
        state = state._replace(total=total, previous=state.current, current=predicted)
        return state, (total, reached), reached


def _minimize(problem, walk):
    """`minimal_perturbation` of a problem whose labels say where to."""
    logits, pullback = problem.pullback(problem.images)
    predicted = _predict(logits)
    correct = predicted == problem.labels
    others = tf.math.top_k(logits, min(walk.candidates, logits.shape[1])).indices[:, 1:]
    goals = tf.where(correct[:, None], others, problem.labels[:, None])

    def step(_, here, state):
        return walk.advance(here, state, *here.pullback(walk.moved(here, state.total)))

    state = _State(tf.zeros_like(problem.images), goals, correct, predicted, predicted)
    first, result, done = walk.advance(problem, state, logits, pullback)
    total, reached = active.loop(step, problem, first, result, walk.steps - 1, done=done)
    factor = 1.0 + walk.overshoot
    delta = walk.moved(problem, total, factor) - problem.images if walk.clip else factor * total
    return Perturbation(delta, reached, logits)


def _off_a_tie(margin, logits, dual):
    """The margin where it is more than rounding; else that of a boundary 1e-4 away, which the original adds anywhere."""
    rounding = _ROUNDING * tf.reduce_max(tf.abs(logits), axis=1)
    return tf.where(tf.abs(margin) <= rounding, _LEAST_STEP * dual, margin)


def _predict(logits):
    return tf.argmax(logits, axis=1, output_type=tf.int32)


def _difference(goal, source, logits):
    """Weights that turn logits into z_goal - z_source: [batch, classes]."""
    count = tf.shape(logits)[1]
    return tf.one_hot(goal, count, dtype=logits.dtype) - tf.one_hot(source, count, dtype=logits.dtype)


def _nearest(norm, logits, pullback, goals, source):
    """The goal whose linearized boundary is nearest: int32 [batch]. One backward pass per column of `goals`."""

    def compare(index, nearest):
        goal = tf.gather(goals, index, axis=1)
        difference = _difference(goal, source, logits)
        margin = tf.abs(tf.reduce_sum(logits * difference, axis=1))
        distance = margin / tf.maximum(norm.dual(pullback(difference)), 1e-12)
        closer = distance < nearest[0]
        return tf.where(closer, distance, nearest[0]), tf.where(closer, goal, nearest[1])

    start = (tf.fill(tf.shape(source), float("inf")), goals[:, 0])
    return classes.fold(compare, start, goals.shape[1])[1]


@dataclasses.dataclass(frozen=True)
class DeepFool(Attack):
    """The minimal-norm attack. Images that it cannot move come back unchanged.

    Attributes:
      norm: `balls.L2` or `balls.Linf`, the norm that is made small.
      steps, overshoot, candidates: as in `minimal_perturbation`; the values are the original's. At an exact tie, where
        the nearest boundary is 0 away, a step is 1e-4 long.

    Memory: 7 batches of images; gradients of classes are one after the other, whatever `candidates`.

    Example:
      >>> attack = DeepFool(balls.Linf)
      >>> adversarial = attack(logits_fn, images, labels, seed=0)
    """

    norm: fields.SmoothNorm = balls.L2
    _: dataclasses.KW_ONLY
    steps: fields.Count = 50
    overshoot: fields.NonNegative = 0.02
    candidates: fields.Several = 10

    name = "deepfool"
    needs = Access.WHITE_BOX

    @property
    def reports_rho_2(self) -> bool:
        return self.norm is balls.L2

    def run(self, problem: Problem) -> tf.Tensor:
        aim = problem if problem.goals is None else problem.replace(labels=problem.goals)
        walk = _Walk(self.norm, self.steps, self.overshoot, self.candidates, tiny=0.0, clip=True, leave_ties=True)
        found = _minimize(aim, walk)
        adversarial = tf.clip_by_value(problem.images + found.delta, 0.0, 1.0)
        # A random model may have changed its mind since: then the perturbation leads the other way.
        broken = found.reached & ~problem.wanted(found.logits)
        return tf.where(balls.per_example(broken, adversarial), adversarial, problem.images)
