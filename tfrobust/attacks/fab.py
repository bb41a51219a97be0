"""FAB: the nearest misclassified image, through projections on linearised boundaries inside the box [0, 1].

Croce and Hein, ICML 2020 ("Minimally distorted..."), algorithm 1. At x, with the boundary linearised there and
proj(.) the projection on it inside the box (section 2.2):

    alpha = min(||proj(x) - x|| / (||proj(x) - x|| + ||proj(clean) - clean||), alpha_max)                      eq. 10
    x <- (1 - alpha) * (x + eta * (proj(x) - x)) + alpha * (clean + eta * (proj(clean) - clean))               eq. 9
    x <- (1 - beta) * clean + beta * x                                      where x is misclassified then      eq. 11
"""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from tfrobust import balls, gradients, objectives, seeds
from tfrobust.attacks import survivors
from tfrobust.errors import InputError

_OVERSHOOT = 1.05  # eta
_BACKWARD = 0.9  # beta
_LARGEST_BIAS = 0.1  # alpha_max
_FINAL_STEPS = 3  # of the final search
_ROUNDING = 1e-5  # the margin that it leaves, of the clean logits' spread: rounding in the model must not undo it
_START = {balls.Linf: 0.3, balls.L2: 1.0}  # the largest distance that random starts are taken from, the authors'


class _Search(NamedTuple):
    """The loop's state; `rows` and `x` are of the examples still at work."""

    best: tf.Tensor  # [batch, ...] the smallest adversarial image so far
    size: tf.Tensor  # [batch] its distance; infinite where there is none
    rows: tf.Tensor  # int32 [working]
    x: tf.Tensor


@dataclasses.dataclass(frozen=True)
class FAB:
    """The minimal-norm attack. Already misclassified images come back unchanged, and so do those it cannot break.

    Attributes:
      norm: `balls.L2` or `balls.Linf`, the norm that is made small.
      steps: per run; each is two forward passes and a backward pass, or one backward pass per wrong class.
      restarts: runs; the first starts from the clean image, the others from random points around it. With `targets`,
        for each of them.
      targets: None: each step goes to the nearest boundary, at the cost of a gradient per wrong class. Else (FAB-T) a
        run goes to one wrong class: so many of them, in the order of the clean image's logits; a model with fewer has
        fewer.
      radius: if given, an example is done once it is broken within that distance, and what lies farther is a failure.

    Example:
      >>> attack = FAB(balls.Linf, targets=9)
      >>> adversarial = attack(logits_fn, images, labels, seed=0)
    """

    norm: type[balls.Ball] = balls.Linf
    steps: int = 100
    restarts: int = 1
    targets: int | None = None
    radius: float | None = None

    needs = "gradients"

    def __post_init__(self):
        if self.norm not in (balls.L2, balls.Linf):
            raise InputError(f"fab works in l2 and linf, got {self.norm!r}")
        counts = (self.steps, self.restarts, 1 if self.targets is None else self.targets)
        if not all(isinstance(value, int) and value >= 1 for value in counts):
            raise InputError(f"fab needs whole steps, restarts and targets of at least 1, got {counts}")
        if self.radius is not None and not self.radius >= 0:
            raise InputError(f"radius must be at least 0, got {self.radius!r}")

    def __call__(self, logits_fn, images, labels, *, seed):
        """Attacks a batch.

        Args:
          logits_fn: images -> logits [batch, classes].
          images: float32 [batch, height, width, channels] in [0, 1].
          labels: int [batch], the true labels.
          seed: an int, or per-example seeds int32 [batch, 2] from `seeds.per_example`; only restarts draw.

        Returns:
          float32 images of the same shape inside [0, 1].
        """
        images, labels = tf.convert_to_tensor(images), tf.cast(labels, tf.int32)
        keys = seeds.resolve(seed, images)
        rows, logits = survivors.standing(logits_fn, images, labels)
        targets = min(self.targets or 1, logits.shape[1] - 1)
        # The likeliest class is the label, where an example is standing.
        others = tf.math.top_k(logits, targets + 1 if self.targets else logits.shape[1]).indices[:, 1:]

        def run(index, best, size):
            unfinished = tf.boolean_mask(rows, tf.gather(size, rows) > (self.radius or 0.0))
            x = tf.gather(self._start(index, images, keys, size), unfinished)
            goals = tf.gather(others, [index // self.restarts], axis=1) if self.targets else others
            found = self._run(logits_fn, images, labels, goals, _Search(best, size, unfinished, x))
            return index + 1, found.best, found.size

        loop = (tf.constant(0), images, tf.fill(tf.shape(labels), float("inf")))
        _, best, size = tf.while_loop(lambda *_: True, run, loop, maximum_iterations=targets * self.restarts)
        return self._finish(logits_fn, images, labels, best, size)

    def _finish(self, logits_fn, images, labels, best, size):
        """The final search, and the clean image for what is farther than `radius`."""
        rows = tf.cast(tf.where((size < float("inf")) & (size > (self.radius or 0.0)))[:, 0], tf.int32)

        def search():
            working_fn, clean, truth = (
                gradients.for_rows(logits_fn, rows),
                tf.gather(images, rows),
                tf.gather(labels, rows),
            )
            nearer = _final_search(working_fn, clean, tf.gather(best, rows), truth)
            if self.radius is not None:
                inside = balls.per_example(self.norm.size(nearer - clean) <= self.radius, clean)
                nearer = tf.where(inside, nearer, clean)
            return tf.tensor_scatter_nd_update(best, rows[:, None], nearer)

        return tf.cond(tf.size(rows) > 0, search, lambda: best)

    def _run(self, logits_fn, images, labels, goals, state):
        """`steps` steps of the examples at work, which start from `state.x`: the final `_Search`."""

        def advance(state):
            clean, truth = tf.gather(images, state.rows), tf.gather(labels, state.rows)
            working_fn = gradients.for_rows(logits_fn, state.rows)
            logits, pullback = gradients.logits_and_pullback(working_fn, state.x)
            x = self._step(clean, state.x, *self._boundary(logits, pullback, tf.gather(goals, state.rows), truth))
            broken = survivors.margins(logits_fn, state.rows, x, truth) > 0.0
            size = self.norm.size(x - clean)
            better = broken & (size < tf.gather(state.size, state.rows))
            chosen = tf.boolean_mask(state.rows, better)[:, None]
            backward = tf.where(balls.per_example(broken, x), clean + _BACKWARD * (x - clean), x)
            kept = tf.where(~(broken & (size <= self.radius)) if self.radius is not None else broken | ~broken)[:, 0]
            return (
                _Search(
                    tf.tensor_scatter_nd_update(state.best, chosen, tf.boolean_mask(x, better)),
                    tf.tensor_scatter_nd_update(state.size, chosen, tf.boolean_mask(size, better)),
                    tf.gather(state.rows, kept),
                    tf.gather(backward, kept),
                ),
            )

        vector, many = tf.TensorShape([None]), tf.TensorShape([None, *images.shape[1:]])
        return tf.while_loop(
            lambda state: tf.size(state.rows) > 0,
            advance,
            (state,),
            shape_invariants=(_Search(images.shape, images.shape[:1], vector, many),),
            maximum_iterations=self.steps,
        )[0]

    def _start(self, index, images, keys, size):
        """The clean images for the first run to a boundary; then random points, not farther than half the best."""
        drawn = self.norm(1.0).sample(seeds.fold_in(keys, index), images.shape[1:])
        distance = tf.minimum(size, self.radius or _START[self.norm]) / 2.0
        away = balls.per_example(distance / tf.maximum(self.norm.size(drawn), 1e-12), images) * drawn
        return tf.cond(index % self.restarts == 0, lambda: images, lambda: tf.clip_by_value(images + away, 0.0, 1.0))

    def _boundary(self, logits, pullback, goals, labels):
        """The nearest of the linearised boundaries to `goals`: (z_goal - z_label [working], its gradient)."""
        nearest = None
        for goal in tf.unstack(goals, axis=1):
            difference = tf.one_hot(goal, logits.shape[1]) - tf.one_hot(labels, logits.shape[1])
            value, normal = tf.reduce_sum(logits * difference, axis=1), pullback(difference)
            distance = tf.abs(value) / tf.maximum(self.norm.dual(normal), 1e-12)
            found = (distance, value, normal)
            if nearest is None:
                nearest = found
            else:
                closer = distance < nearest[0]
                nearest = [tf.where(balls.per_example(closer, new), new, old) for new, old in zip(found, nearest)]
        return nearest[1:]

    def _step(self, clean, x, value, normal):
        """Equations 9 and 10, for the boundary value + <normal, u - x> = 0."""
        from_x = projection(self.norm, x, normal, -value)
        from_clean = projection(self.norm, clean, normal, -value - _dot(normal, clean - x))
        size, clean_size = (tf.maximum(self.norm.size(delta), 1e-8) for delta in (from_x, from_clean))
        alpha = balls.per_example(tf.minimum(size / (size + clean_size), _LARGEST_BIAS), x)
        moved = (1.0 - alpha) * (x + _OVERSHOOT * from_x) + alpha * (clean + _OVERSHOOT * from_clean)
        return tf.clip_by_value(moved, 0.0, 1.0)


def projection(norm, x, normal, amount):
    """The smallest delta with <normal, delta> = amount and x + delta in [0, 1] (section 2.2, problem 4).

    Its parts are sign_i * min(length * pace_i, room_i), where room_i is what the box leaves in that direction, and
    pace_i is |normal_i| in l2, 1 in linf. <normal, delta> is concave and piecewise linear in length: instead of
    sorting its kinks, Newton's method from 0 meets the amount from below, exactly and in a few steps.

    Args:
      norm: `balls.L2` or `balls.Linf`.
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


def _dot(one, other):
    return tf.reduce_sum(one * other, axis=[1, 2, 3])


def _final_search(logits_fn, low, high, labels):
    """Moves misclassified images nearer: secant steps on the line from low, which is classified as its label.

    Args:
      logits_fn: images -> logits.
      low, high: float32 [broken, height, width, channels].
      labels: int32 [broken].

    Returns:
      float32 [broken, ...].
    """
    low_logits, high_logits = logits_fn(low), logits_fn(high)
    least = _ROUNDING * (tf.reduce_max(low_logits, axis=1) - tf.reduce_min(low_logits, axis=1))
    for _ in range(_FINAL_STEPS):
        goals = tf.argmax(high_logits, axis=1)
        below, above = (objectives.targeted_margin(logits, labels, goals) for logits in (low_logits, high_logits))
        share = tf.clip_by_value((2.0 * least - below) / tf.maximum(above - below, 1e-12), 0.0, 1.0)
        x = low + balls.per_example(share, low) * (high - low)
        logits = logits_fn(x)
        broken = objectives.margin(logits, labels) > least
        image_broken = balls.per_example(broken, x)
        low, high = tf.where(image_broken, low, x), tf.where(image_broken, x, high)
        low_logits = tf.where(broken[:, None], low_logits, logits)
        high_logits = tf.where(broken[:, None], logits, high_logits)
    return high
