"""FAB: the nearest misclassified image, through projections on linearized boundaries inside the box [0, 1].

Croce and Hein, ICML 2020 ("Minimally distorted..."), algorithm 1. At x, with the boundary linearized there and
proj(.) the projection on it inside the box (section 2.2):

    alpha = min(||proj(x) - x|| / (||proj(x) - x|| + ||proj(clean) - clean||), alpha_max)                      eq. 10
    x <- (1 - alpha) * (x + eta * (proj(x) - x)) + alpha * (clean + eta * (proj(clean) - clean))               eq. 9
    x <- (1 - beta) * clean + beta * x                                      where x is misclassified then      eq. 11
"""

import dataclasses

import tensorflow as tf

from tfrobust import balls, objectives, seeds
from tfrobust.attacks import active, fields
from tfrobust.attacks.attack import Access, Attack
from tfrobust.attacks.gradient import classes
from tfrobust.attacks.gradient.nearest import Nearest
from tfrobust.attacks.problem import Problem

_OVERSHOOT = 1.05  # eta
_BACKWARD = 0.9  # beta
_LARGEST_BIAS = 0.1  # alpha_max
_FINAL_STEPS = 3  # of the final search
_ROUNDING = 1e-5  # the margin that it leaves, of the clean logits' spread: rounding in the model must not undo it
_TIE = 2.0**-23  # of a difference of logits, as a share of the largest: one float32 step
_LEAST_STEP = 1e-4  # from a tie, where both projections are the image itself
_START = {
    balls.Linf: 0.3,
    balls.L2: 1.0,
    balls.L1: 5.0,
}  # the largest distance that random starts are taken from, the authors'


@dataclasses.dataclass(frozen=True)
class FAB(Attack):
    """The attack on the norm. Images that it cannot break come back unchanged.

    Attributes:
      within: `balls.L2`, `balls.Linf` or `balls.L1`, the norm that is made small. Or a ball such as `Linf(8 / 255)`: an example is
        done once it is broken inside, and what lies farther is a failure.
      steps: per run; each is two forward passes and a backward pass, or one backward pass per wrong class.
      restarts: runs; the first starts from the clean image, the others from random points around it. With `targets`,
        for each of them.
      targets: None: each step goes to the nearest boundary, at the cost of a gradient per wrong class. Else (FAB-T) a
        run goes to one wrong class: so many of them, in the order of the clean image's logits; a model with fewer has
        fewer. An attacker with a goal goes to that one.

    Memory: 19 batches of images; gradients of classes, runs and targets are one after the other.

    Example:
      >>> attack = FAB(balls.Linf, targets=9)
      >>> adversarial = attack(logits_fn, images, labels, seed=0)
    """

    within: fields.NormBallOrNorm = balls.Linf
    _: dataclasses.KW_ONLY
    steps: fields.Count = 100
    restarts: fields.Count = 1
    targets: fields.Count | None = None

    name = "fab"
    needs = Access.WHITE_BOX

    @property
    def ball(self) -> balls.Ball | None:
        return self.within if isinstance(self.within, balls.Ball) else None

    @property
    def norm(self) -> type[balls.Ball] | None:
        return None if isinstance(self.within, balls.Ball) else self.within

    @property
    def _norm(self):
        return type(self.within) if isinstance(self.within, balls.Ball) else self.within

    @property
    def _enough(self):
        """The distance at which an example is done."""
        return self.ball.radius if self.ball else 0.0

    def run(self, problem: Problem) -> tf.Tensor:
        rivals = problem.rivals(self.targets or problem.clean_answers.shape[1])
        runs = (rivals.shape[1] if self.targets else 1) * self.restarts

        def run(index, here, state):
            rivals, best = state
            x = self._start(index, here, best.size)
            goals = tf.gather(rivals, [index // self.restarts], axis=1) if self.targets else rivals
            best = self._descend(here, goals, x, best)
            return (rivals, best), best, best.size <= self._enough

        none = Nearest.none(problem)
        return self._finish(problem, active.loop(run, problem, (rivals, none), none, runs))

    def _finish(self, problem, best):
        """The final search, and the clean image for what lies outside the ball."""
        rows = tf.cast(tf.where((best.size < float("inf")) & (best.size > self._enough))[:, 0], tf.int32)

        def search():
            here = problem.at(rows)
            nearer = _final_search(here, tf.gather(best.images, rows))
            if self.ball:
                inside = balls.per_example(self._norm.size(nearer - here.images) <= self.ball.radius, nearer)
                nearer = tf.where(inside, nearer, here.images)
            return tf.tensor_scatter_nd_update(best.images, rows[:, None], nearer)

        return tf.cond(tf.size(rows) > 0, search, lambda: best.images)

    def _descend(self, problem, goals, x, best):
        """`steps` steps from x toward the nearest boundary of `goals`: the best after them."""

        def step(_, here, state):
            x, goals, best = state
            logits, pullback = here.pullback(x)
            value, normal = self._boundary(logits, pullback, goals, here)
            tied = tf.abs(value) <= _TIE * tf.reduce_max(tf.abs(logits), axis=1)
            value = tf.where(tied, -_LEAST_STEP * self._norm.dual(normal), value)
            x = self._step(here.images, x, value, normal)
            broken = here.margin(x) > 0.0
            size = self._norm.size(x - here.images)
            best = best.or_nearer(x, size, broken)
            backward = tf.where(balls.per_example(broken, x), here.images + _BACKWARD * (x - here.images), x)
            return (backward, goals, best), best, broken & (size <= self._enough)

        return active.loop(step, problem, (x, goals, best), best, self.steps)

    def _start(self, index, here, size):
        """The clean images for the first run to a boundary; then random points, not farther than half the best."""
        drawn = here.sample(self._norm(1.0), seeds.fold_in(here.keys, index))
        distance = tf.minimum(size, self._enough or _START[self._norm]) / 2.0
        away = balls.per_example(distance / tf.maximum(self._norm.size(drawn), 1e-12), drawn) * drawn
        around = tf.clip_by_value(here.images + away, 0.0, 1.0)
        return tf.cond(index % self.restarts == 0, lambda: here.images, lambda: around)

    def _boundary(self, logits, pullback, goals, here):
        """The nearest of the linearized boundaries to `goals`: (z_goal - z_from [active], its gradient).

        They part the goals from the label. An attacker with a goal comes from the likeliest other class, whichever.
        """
        origin = here.labels
        if here.goals is not None:
            origin = tf.argmax(objectives.without(logits, here.goals), axis=1, output_type=tf.int32)

        def compare(index, nearest):
            goal = tf.gather(goals, index, axis=1)
            difference = tf.one_hot(goal, logits.shape[1]) - tf.one_hot(origin, logits.shape[1])
            value, normal = tf.reduce_sum(logits * difference, axis=1), pullback(difference)
            distance = tf.abs(value) / tf.maximum(self._norm.dual(normal), 1e-12)
            closer = distance < nearest[0]
            found = (distance, value, normal)
            return [tf.where(balls.per_example(closer, new), new, old) for new, old in zip(found, nearest)]

        value = tf.zeros_like(logits[:, 0])
        return classes.fold(compare, [value + float("inf"), value, tf.zeros_like(here.images)], goals.shape[1])[1:]

    def _step(self, clean, x, value, normal):
        """Equations 9 and 10, for the boundary value + <normal, u - x> = 0."""
        from_x = projection(self._norm, x, normal, -value)
        from_clean = projection(self._norm, clean, normal, -value - _dot(normal, clean - x))
        size, clean_size = (tf.maximum(self._norm.size(delta), 1e-8) for delta in (from_x, from_clean))
        alpha = balls.per_example(tf.minimum(size / (size + clean_size), _LARGEST_BIAS), x)
        moved = (1.0 - alpha) * (x + _OVERSHOOT * from_x) + alpha * (clean + _OVERSHOOT * from_clean)
        return tf.clip_by_value(moved, 0.0, 1.0)


def projection(norm, x, normal, amount):
    """The smallest delta with <normal, delta> = amount and x + delta in [0, 1] (section 2.2, problem 4).

    Its parts are sign_i * min(length * pace_i, room_i), where room_i is what the box leaves in that direction, and
    pace_i is |normal_i| in l2, 1 in linf. <normal, delta> is concave and piecewise linear in length: instead of
    sorting its kinks, Newton's method from 0 meets the amount from below, exactly and in a few steps. In l1 values move to
    the wall one after the other, that of the largest |normal_i| first.

    Args:
      norm: `balls.L2`, `balls.Linf` or `balls.L1`.
      x, normal: float32 [batch, height, width, channels].
      amount: float32 [batch].

    Returns:
      float32 [batch, height, width, channels]; where the box is too small, the corner that comes nearest.

    Example:
      >>> x, normal = tf.constant([[[[0.5], [0.9]]]]), tf.constant([[[[3.0], [4.0]]]])
      >>> projection(balls.L2, x, normal, tf.constant([1.0])).numpy().ravel()
      array([0.2, 0.1], dtype=float32)
    """
    direction = tf.sign(normal) * balls.per_example(tf.sign(amount), normal)
    weight, amount = tf.abs(normal), tf.abs(amount)
    room = tf.where(direction > 0.0, 1.0 - x, x)
    if norm is balls.L1:
        return direction * room * _filled(weight, weight * room, amount)
    pace = weight if norm is balls.L2 else tf.abs(tf.sign(normal))
    gain, rate = weight * room, weight * pace  # of <normal, delta>: at the wall, and per length until there

    def lengthen(length, _):
        full = balls.per_example(length, pace) * pace >= room
        missing = amount - tf.reduce_sum(tf.where(full, gain, 0.0), axis=[1, 2, 3])
        slope = tf.reduce_sum(tf.where(full, 0.0, rate), axis=[1, 2, 3])
        longer = tf.where(slope > 0.0, missing / tf.maximum(slope, 1e-30), 1e30)
        return tf.maximum(longer, length), longer > length * (1.0 + 1e-6)

    start = lengthen(tf.fill(tf.shape(amount), -1.0), None)
    length, _ = tf.while_loop(lambda _, growing: tf.reduce_any(growing), lengthen, start, maximum_iterations=100)
    return direction * tf.minimum(balls.per_example(length, pace) * pace, room)


def _filled(weight, gain, amount):
    """How far each value goes to its wall until the gains are the amount, the largest weights first: shares, like the gains."""
    least = balls.per_example(balls.least_needed(weight, gain, amount), weight)
    last = tf.where(weight == least, gain, 0.0)
    missing = amount - tf.reduce_sum(tf.where(weight > least, gain, 0.0), axis=[1, 2, 3])
    share = tf.clip_by_value(missing / tf.maximum(tf.reduce_sum(last, axis=[1, 2, 3]), 1e-30), 0.0, 1.0)
    return tf.where(weight > least, 1.0, tf.where(last > 0.0, balls.per_example(share, weight), 0.0))


def _dot(one, other):
    return tf.reduce_sum(one * other, axis=[1, 2, 3])


def _final_search(here, high):
    """Moves adversarial images nearer: secant steps on the line from the clean ones, which are no success.

    Args:
      here: the problem of these images.
      high: float32 [broken, height, width, channels].

    Returns:
      float32 [broken, ...].
    """
    low = here.images
    low_logits, high_logits = here.logits(low), here.logits(high)
    least = _ROUNDING * (tf.reduce_max(low_logits, axis=1) - tf.reduce_min(low_logits, axis=1))
    for _ in range(_FINAL_STEPS):
        below, above = (_lead(here, logits, high_logits) for logits in (low_logits, high_logits))
        share = tf.clip_by_value((2.0 * least - below) / tf.maximum(above - below, 1e-12), 0.0, 1.0)
        x = low + balls.per_example(share, low) * (high - low)
        logits = here.logits(x)
        broken = here.margin_of(logits) > least
        image_broken = balls.per_example(broken, x)
        low, high = tf.where(image_broken, low, x), tf.where(image_broken, x, high)
        low_logits = tf.where(broken[:, None], low_logits, logits)
        high_logits = tf.where(broken[:, None], logits, high_logits)
    return high


def _lead(here, logits, high_logits):
    """The margin of the class that wins at the far end over the label; of the goal over all others."""
    if here.goals is not None:
        return here.margin_of(logits)
    return objectives.targeted_margin(logits, here.labels, tf.argmax(high_logits, axis=1))
