"""SPSA: ascent on the margin with a gradient estimated from scores at random pairs of points.

Uesato et al., ICML 2018, algorithm 1, after Spall 1992. With v_i random vectors of signs:

    gradient = 1 / n * sum_i (f(x + delta * v_i) - f(x - delta * v_i)) / (2 * delta) * v_i

which Adam follows; after each step x is brought back into the ball and into [0, 1]. The points are cut to [0, 1] as well,
where other libraries and the paper ask outside, and a value is divided by how far its two points really are apart.
"""

import dataclasses

import tensorflow as tf

from tfrobust import balls, seeds
from tfrobust.attacks import active, fields
from tfrobust.attacks.attack import Access, Attack
from tfrobust.attacks.problem import Problem
from tfrobust.attacks.steps import Adam


@dataclasses.dataclass(frozen=True)
class SPSA(Attack):
    """The bounded attack. An example stops as soon as it is broken; else the iterate of the largest margin is returned.

    Attributes:
      ball: the allowed perturbations, `Linf(radius)` or `L2(radius)`.
      steps: of Adam.
      samples: pairs of points for each gradient; the paper takes 1024 and more.
      learning_rate: Adam's, on the [0, 1] pixel scale.
      delta: how far the points of a pair are from x in each value.

    Memory: 28 batches of images whatever `samples`: points are asked about a batch at a time.

    Example:
      >>> adversarial = SPSA(balls.Linf(8 / 255), steps=100, samples=1024)(logits_fn, images, labels, seed=0)
    """

    ball: fields.SmoothBall = dataclasses.field()
    _: dataclasses.KW_ONLY
    steps: fields.Count = 100
    samples: fields.Count = 128
    learning_rate: fields.Positive = 0.01
    delta: fields.Positive = 0.01

    name = "spsa"
    needs = Access.SCORE_BASED

    def run(self, problem: Problem) -> tf.Tensor:
        def ascend(count, here, state):
            delta, moments, best, largest = state
            gradient = here.confine(self._gradient(here, here.images + delta, count))
            direction, moments = Adam().direction(type(self.ball), count, gradient, moments)
            moved = here.images + self.ball.project(delta + self.learning_rate * direction)
            delta = tf.clip_by_value(moved, 0.0, 1.0) - here.images
            x = here.images + delta
            margin = here.margin(x)
            best = tf.where(balls.per_example(margin > largest, x), x, best)
            largest = tf.maximum(largest, margin)
            return (delta, moments, best, largest), best, largest > 0.0

        images, lowest = problem.images, tf.fill(tf.shape(problem.labels), float("-inf"))
        start = (tf.zeros_like(images), Adam().start(images), images, lowest)
        return active.loop(ascend, problem, start, images, self.steps)

    def _gradient(self, here, x, count):
        """The estimate above. A value whose two points are the same, at a wall that both meet, says nothing: 0."""

        def evaluate(pairs, rows):
            signs = tf.sign(seeds.uniform(pairs.keys, x.shape[1:]) - 0.5)
            at = tf.gather(x, rows)
            above, below = (tf.clip_by_value(at + way * self.delta * signs, 0.0, 1.0) for way in (1.0, -1.0))
            rise = balls.per_example(pairs.margin(above) - pairs.margin(below), at)
            return [tf.math.divide_no_nan(rise, above - below)]

        here = here.replace(keys=seeds.fold_in(here.keys, count))
        (total,) = here.sum_over_draws(evaluate, self.samples)
        return total / self.samples
