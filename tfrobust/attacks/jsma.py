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

    Exact, in memory linear in the number of values: value p is in no pair worth more than (rise_p + max rise) *
    (fall_p + max fall). Rows of the matrix of pairs are looked at in the order of that bound, a few at a time, until
    it falls below the best pair found.

    Args:
      rise, fall: float32 [batch, values].
      free: bool [batch, values], which ones may be in a pair.

    Returns:
      (pair int32 [batch, 2], found bool [batch]).
    """
    rise, fall = (tf.where(free, part, float("-inf")) for part in (rise, fall))
    bound = tf.nn.relu(rise + tf.reduce_max(rise, axis=1, keepdims=True))
    bound *= tf.nn.relu(fall + tf.reduce_max(fall, axis=1, keepdims=True))
    bound = tf.where(free, bound, 0.0)
    values = tf.shape(rise)[1]

    def look(bound, pair, best):
        rows = tf.math.top_k(bound, tf.minimum(_ROWS, values)).indices
        sums = [tf.gather(part, rows, batch_dims=1)[:, :, None] + part[:, None, :] for part in (rise, fall)]
        itself = tf.one_hot(rows, values, on_value=True, off_value=False)
        worth = tf.where((sums[0] > 0) & (sums[1] > 0) & ~itself, sums[0] * sums[1], 0.0)
        worth = tf.reshape(worth, [tf.shape(worth)[0], -1])
        place = tf.argmax(worth, axis=1, output_type=tf.int32)
        value = tf.gather(worth, place, batch_dims=1)
        first = tf.gather(rows, place // values, batch_dims=1)
        better = value > best
        pair = tf.where(better[:, None], tf.stack([first, place % values], axis=1), pair)
        seen = tf.reduce_any(itself, axis=1)
        return tf.where(seen, 0.0, bound), pair, tf.maximum(value, best)

    nothing = tf.zeros_like(rise[:, 0])
    _, pair, best = tf.while_loop(
        lambda bound, pair, best: tf.reduce_any(tf.reduce_max(bound, axis=1) > best),
        look,
        (bound, tf.zeros_like(rise[:, :2], tf.int32), nothing),
    )
    return pair, best > 0.0
