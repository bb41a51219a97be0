"""The Jacobian-based saliency map attack: pairs of values are pushed to the limit, the most useful pair first.

Papernot et al., EuroS&P 2016, algorithms 2 and 3. With Z the logits and t the goal, each step takes the pair (p, q) of

    alpha = sum_{i in p, q} dZ_t / dx_i > 0          beta = sum_{i in p, q} sum_{j != t} dZ_j / dx_i < 0

with the largest alpha * |beta|, and adds theta to both. Values that have reached 0 or 1 leave the search.
"""

import dataclasses
import math

import tensorflow as tf

from tfrobust import balls, objectives
from tfrobust.attacks import active, fields
from tfrobust.attacks.attack import Access, Attack
from tfrobust.attacks.problem import Problem

_ROWS = 8  # of the matrix of all pairs that are looked at together


@dataclasses.dataclass(frozen=True)
class JSMA(Attack):
    """The minimal-norm attack on few values. Images come back unchanged if the attacker's wish is not reached.

    Without a goal, the search goes to the most likely wrong class, and any wrong answer does.

    Attributes:
      theta: what is added to a value at each step; below zero, pixels are darkened.
      gamma: the largest share of an image's values that may change.

    Memory: 16 batches of images: of the matrix of pairs of values, 8 rows are looked at together.

    Example:
      >>> adversarial = JSMA(gamma=0.145)(logits_fn, images, labels, seed=0)
    """

    _: dataclasses.KW_ONLY
    theta: fields.Signed = 1.0
    gamma: fields.Share = 0.145

    name = "jsma"
    needs = Access.WHITE_BOX
    norm = balls.L0

    def run(self, problem: Problem) -> tf.Tensor:
        others = tf.argmax(objectives.without(problem.clean, problem.labels), axis=1, output_type=tf.int32)
        goals = others if problem.goals is None else problem.goals
        features = math.prod(problem.images.shape[1:])
        allowed = int(self.gamma * features + 1e-6)
        # Each step moves two values, each of which can be moved 1 / |theta| times.
        steps = allowed * math.ceil(1.0 / abs(self.theta) - 1e-6) // 2

        def advance(_, here, state):
            x, goals = state
            logits, rise, others = self._jacobian(here, x, goals)
            done = here.wanted(logits)
            pair, found = best_pair(rise, -others, tf.reshape(self._free(x, here.images, allowed), tf.shape(rise)))
            moved = tf.reshape(tf.reduce_sum(tf.one_hot(pair, features), axis=1), tf.shape(x))
            result = tf.where(balls.per_example(done, x), x, here.images)
            return (tf.clip_by_value(x + self.theta * moved, 0.0, 1.0), goals), result, done | ~found

        state = (problem.images, goals)
        return active.loop(advance, problem, state, problem.images, steps + 1)  # the last one only asks

    def _jacobian(self, here, x, goals):
        """The logits, and the derivatives of the goal's logit and of the sum of all others, [active, values]."""
        logits, pullback = here.pullback(x)
        toward = tf.one_hot(goals, tf.shape(logits)[1])
        sign = math.copysign(1.0, self.theta)
        rise, others = (
            tf.reshape(sign * pullback(part), [-1, math.prod(x.shape[1:])]) for part in (toward, 1 - toward)
        )
        return logits, rise, others

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
