"""The Jacobian-based saliency map attack: pairs of values are pushed to the limit, the most useful pair first.

Papernot et al., EuroS&P 2016, algorithms 2 and 3. With Z the logits and t the goal, each step takes the pair (p, q) of

    alpha = sum_{i in p, q} dZ_t / dx_i > 0          beta = sum_{i in p, q} sum_{j != t} dZ_j / dx_i < 0

with the largest alpha * |beta|, and adds theta to both. Values that have reached 0 or 1 leave the search.
"""

import dataclasses
import math
from typing import NamedTuple

import tensorflow as tf

from tfrobust import balls, gradients
from tfrobust.attacks import queries
from tfrobust.errors import InputError

_ROWS = 8  # of the matrix of all pairs that are looked at together


class _State(NamedTuple):
    """The loop's state. `final` is [batch, ...], the others are of the examples still at work."""

    final: tf.Tensor
    rows: tf.Tensor  # int32 [working]
    x: tf.Tensor


@dataclasses.dataclass(frozen=True)
class JSMA:
    """The minimal-norm attack on few values. Right images come back unchanged if their goal is not reached.

    Attributes:
      theta: what is added to a value at each step; below zero, pixels are darkened.
      gamma: the largest share of an image's values that may change.
      targeted: `labels` are the goals. Otherwise the goal is the most likely wrong class, and any wrong answer does.

    Example:
      >>> adversarial = JSMA(gamma=0.145)(logits_fn, images, labels, seed=0)
    """

    theta: float = 1.0
    gamma: float = 0.145
    targeted: bool = False

    needs = "gradients"
    norm = balls.L0

    def __post_init__(self):
        if not (0 < abs(self.theta) <= 1 and 0 < self.gamma <= 1):
            raise InputError(f"jsma needs theta from -1 to 1 but not 0, and gamma above 0 up to 1, got {self}")

    def __call__(self, logits_fn, images, labels, *, seed):
        """Images [batch, height, width, channels] in [0, 1] -> adversarial images. `seed` is not used."""
        del seed
        images, labels = tf.convert_to_tensor(images), tf.cast(labels, tf.int32)
        logits = logits_fn(images)
        likely = tf.math.top_k(logits, 2).indices
        goals = labels if self.targeted else tf.where(likely[:, 0] == labels, likely[:, 1], likely[:, 0])
        features = math.prod(images.shape[1:])
        allowed = int(self.gamma * features + 1e-6)
        # Each step moves two values, each of which can be moved 1 / |theta| times.
        steps = allowed * math.ceil(1.0 / abs(self.theta) - 1e-6) // 2

        def advance(state):
            clean, goal = tf.gather(images, state.rows), tf.gather(goals, state.rows)
            answers, rise, others = self._jacobian(gradients.for_rows(logits_fn, state.rows), state.x, goal)
            done = queries.succeeds(answers, tf.gather(labels, state.rows), self.targeted)
            pair, found = best_pair(rise, -others, tf.reshape(self._free(state.x, clean, allowed), tf.shape(rise)))
            moved = tf.reduce_sum(tf.one_hot(pair, features), axis=1)
            x = tf.clip_by_value(state.x + self.theta * tf.reshape(moved, tf.shape(state.x)), 0.0, 1.0)
            final = tf.tensor_scatter_nd_update(state.final, state.rows[done][:, None], state.x[done])
            working = found & ~done
            return (_State(final, state.rows[working], x[working]),)

        rows = tf.where(~queries.succeeds(likely[:, 0], labels, self.targeted))[:, 0]
        rows = tf.cast(rows, tf.int32)
        state = _State(images, rows, tf.gather(images, rows))
        state = tf.while_loop(
            lambda state: tf.size(state.rows) > 0,
            advance,
            (state,),
            shape_invariants=(_State(images.shape, tf.TensorShape([None]), tf.TensorShape([None, *images.shape[1:]])),),
            maximum_iterations=steps + 1,  # the last one only asks
        )[0]
        return state.final

    def _jacobian(self, logits_fn, x, goal):
        """The predicted labels, and the derivatives of the goal's logit and of the sum of all others, [n, values]."""
        logits, pullback = gradients.logits_and_pullback(logits_fn, x)
        toward = tf.one_hot(goal, tf.shape(logits)[1])
        sign = math.copysign(1.0, self.theta)
        rise, others = (
            tf.reshape(sign * pullback(part), [-1, math.prod(x.shape[1:])]) for part in (toward, 1 - toward)
        )
        return tf.argmax(logits, axis=1, output_type=tf.int32), rise, others

    def _free(self, x, clean, allowed):
        """Values that may still be moved: bool like x. Near gamma, only those that have been moved already."""
        changed = x != clean
        left = allowed - tf.reduce_sum(tf.cast(changed, tf.int32), axis=[1, 2, 3])
        within = x < 1.0 if self.theta > 0 else x > 0.0
        return within & (changed | balls.per_example(left >= 2, x))


def best_pair(rise, fall, free):
    """The pair with the largest product of sums, among those whose sums are both positive.

    Exact, in memory linear in the number of values. Where two others are at least as large in both `rise` and `fall`,
    a value is not needed: one of the two is not its partner and can stand in for it. What is needed then is few values,
    all pairs of which are looked at, a few rows of their matrix at a time.

    Args:
      rise, fall: float32 [batch, values].
      free: bool [batch, values], which ones may be in a pair.

    Returns:
      (pair int32 [batch, 2], found bool [batch]).
    """
    rise, fall = (tf.where(free, part, float("-inf")) for part in (rise, fall))
    order = tf.math.top_k(rise, tf.shape(rise)[1]).indices
    fall_in_order = tf.gather(fall, order, batch_dims=1)
    needed = tf.cast(fall_in_order > _second_largest_before(fall_in_order), tf.int32)
    most = tf.maximum(tf.reduce_max(tf.reduce_sum(needed, axis=1)), 1)
    candidates = tf.gather(order, tf.math.top_k(needed, most).indices, batch_dims=1)
    rise, fall = (tf.gather(part, candidates, batch_dims=1) for part in (rise, fall))

    def look(start, pair, best):
        rows = tf.range(start, tf.minimum(start + _ROWS, most))
        sums = [tf.gather(part, rows, axis=1)[:, :, None] + part[:, None, :] for part in (rise, fall)]
        worth = tf.where(rows[:, None] == tf.range(most), 0.0, tf.nn.relu(sums[0]) * tf.nn.relu(sums[1]))
        worth = tf.reshape(worth, [-1, tf.size(rows) * most])
        place = tf.argmax(worth, axis=1, output_type=tf.int32)
        value = tf.gather(worth, place, batch_dims=1)
        found = tf.stack([start + place // most, place % most], axis=1)
        return start + _ROWS, tf.where((value > best)[:, None], found, pair), tf.maximum(value, best)

    _, pair, best = tf.while_loop(
        lambda start, *_: start < most,
        look,
        (0, tf.zeros([tf.shape(rise)[0], 2], tf.int32), tf.zeros_like(rise[:, 0])),
    )
    return tf.gather(candidates, pair, batch_dims=1), best > 0.0


def _second_largest_before(values):
    """For each of the values [batch, values] the second largest of those before it, by doubling the distance."""

    def shifted(part, places):
        return tf.pad(part[:, :-places], [[0, 0], [places, 0]], constant_values=float("-inf"))

    first = shifted(values, 1)
    second = tf.fill(tf.shape(values), float("-inf"))
    for power in range(math.ceil(math.log2(values.shape[1]))):
        earlier_first, earlier_second = shifted(first, 2**power), shifted(second, 2**power)
        second = tf.maximum(tf.minimum(first, earlier_first), tf.maximum(second, earlier_second))
        first = tf.maximum(first, earlier_first)
    return second
