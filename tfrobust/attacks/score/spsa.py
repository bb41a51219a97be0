"""SPSA: ascent on the margin with a gradient estimated from scores at random pairs of points.

Uesato et al., ICML 2018, algorithm 1, after Spall 1992. With v_i random vectors of signs:

    gradient = 1 / n * sum_i (f(x + delta * v_i) - f(x - delta * v_i)) / (2 * delta) * v_i

which Adam follows; after each step x is brought back into the ball and into [0, 1].
"""

import dataclasses

import tensorflow as tf

from tfrobust import balls, seeds
from tfrobust.attacks import active, fields
from tfrobust.attacks.attack import Access, Attack
from tfrobust.attacks.steps import Adam


@dataclasses.dataclass(frozen=True)
class SPSA(Attack):
    """The bounded attack. An example stops as soon as it is broken; else its last iterate is returned.

    Attributes:
      ball: the allowed perturbations, `Linf(radius)` or `L2(radius)`.
      steps: of Adam.
      samples: pairs of points for each gradient; the paper takes 1024 and more.
      learning_rate: Adam's, on the [0, 1] pixel scale.
      delta: how far the points of a pair are from x in each value.

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

    def run(self, problem):
        def ascend(count, here, state):
            delta, moments = state
            gradient = self._gradient(here, here.images + delta, count)
            direction, moments = Adam().direction(type(self.ball), count, gradient, moments)
            moved = here.images + self.ball.project(delta + self.learning_rate * direction)
            delta = tf.clip_by_value(moved, 0.0, 1.0) - here.images
            x = here.images + delta
            return (delta, moments), x, here.margin(x) > 0.0

        start = (tf.zeros_like(problem.images), Adam().start(problem.images))
        return active.loop(ascend, problem, start, problem.images, self.steps)

    def _gradient(self, here, x, count):
        """The estimate above. Points outside [0, 1] are asked about as well, as in the paper."""

        def evaluate(pairs, rows):
            signs = tf.sign(seeds.uniform(pairs.keys, x.shape[1:]) - 0.5)
            at = tf.gather(x, rows)
            rise = pairs.margin(at + self.delta * signs) - pairs.margin(at - self.delta * signs)
            return [balls.per_example(rise / (2.0 * self.delta), signs) * signs]

        here = here.replace(keys=seeds.fold_in(here.keys, count))
        (total,) = here.sum_over_draws(evaluate, self.samples)
        return total / self.samples
