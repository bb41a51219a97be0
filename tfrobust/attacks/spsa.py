"""SPSA: ascent on the margin with a gradient estimated from scores at random pairs of points.

Uesato et al., ICML 2018, algorithm 1, after Spall 1992. With v_i random vectors of signs:

    gradient = 1 / n * sum_i (f(x + delta * v_i) - f(x - delta * v_i)) / (2 * delta) * v_i

which Adam follows; after each step x is brought back into the ball and into [0, 1].
"""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from tfrobust import balls, gradients, objectives, seeds
from tfrobust.attacks import adam, queries
from tfrobust.errors import InputError


class _State(NamedTuple):
    """The loop's state. From `rows` on: of the examples still at work."""

    step: tf.Tensor
    final: tf.Tensor  # [batch, ...]
    rows: tf.Tensor  # int32 [working]
    delta: tf.Tensor
    mean: tf.Tensor  # Adam's two moments of the gradient
    square: tf.Tensor


@dataclasses.dataclass(frozen=True)
class SPSA:
    """The bounded attack. An example stops as soon as it is broken; else its last iterate is returned.

    Attributes:
      ball: the allowed perturbations, `Linf(radius)` or `L2(radius)`.
      steps: of Adam.
      samples: pairs of points for each gradient; the paper takes 1024 and more.
      learning_rate: Adam's, on the [0, 1] pixel scale.
      delta: how far the points of a pair are from x in each value.
      targeted: `labels` are the answers that the attacker wants.

    Example:
      >>> adversarial = SPSA(balls.Linf(8 / 255), steps=100, samples=1024)(logits_fn, images, labels, seed=0)
    """

    ball: balls.Ball
    steps: int = 100
    samples: int = 128
    learning_rate: float = 0.01
    delta: float = 0.01
    targeted: bool = False

    needs = "scores"

    def __post_init__(self):
        if not isinstance(self.ball, (balls.Linf, balls.L2)):
            raise InputError(f"spsa needs a linf or l2 ball with a radius, such as linf(8/255); got {self.ball!r}")
        if not all(isinstance(value, int) and value >= 1 for value in (self.steps, self.samples)):
            raise InputError(f"spsa needs whole steps and samples of at least 1, got {self.steps} and {self.samples}")
        if not (self.learning_rate > 0 and self.delta > 0):
            raise InputError(f"spsa needs learning_rate > 0 and delta > 0, got {self.learning_rate} and {self.delta}")

    def __call__(self, logits_fn, images, labels, *, seed):
        """Attacks a batch.

        Args:
          logits_fn: images -> logits [batch, classes]; any Python function, if called eagerly.
          images: float32 [batch, height, width, channels] in [0, 1].
          labels: int [batch], the true labels, or the wanted ones if it is targeted.
          seed: an int, or per-example seeds int32 [batch, 2] from `seeds.per_example`.

        Returns:
          float32 images of the same shape, inside the ball and inside [0, 1].
        """
        images, labels = tf.convert_to_tensor(images), tf.cast(labels, tf.int32)
        keys = seeds.resolve(seed, images)

        def margin(x, rows):
            logits = queries.scores(gradients.for_rows(logits_fn, rows), x)
            value = objectives.margin(logits, tf.gather(labels, rows))
            return -value if self.targeted else value

        def unbroken(state):
            """The state without the examples that are broken."""
            x = tf.gather(images, state.rows) + state.delta
            working = margin(x, state.rows) <= 0.0
            final = tf.tensor_scatter_nd_update(state.final, state.rows[:, None], x)
            return _State(state.step, final, *[part[working] for part in state[2:]])

        def ascend(state):
            clean = tf.gather(images, state.rows)
            step_keys = seeds.fold_in(tf.gather(keys, state.rows), state.step)
            gradient = self._gradient(margin, clean + state.delta, state.rows, step_keys)
            step, mean, square = adam.step(state.step, state.mean, state.square, gradient, self.learning_rate)
            inside = tf.clip_by_value(clean + self.ball.project(state.delta + step), 0.0, 1.0) - clean
            return (unbroken(_State(state.step + 1, state.final, state.rows, inside, mean, square)),)

        none = tf.zeros_like(images)
        state = unbroken(_State(tf.constant(0), images, tf.range(tf.shape(images)[0]), none, none, none))
        vector, many = tf.TensorShape([None]), tf.TensorShape([None, *images.shape[1:]])
        return tf.while_loop(
            lambda state: tf.size(state.rows) > 0,
            ascend,
            (state,),
            shape_invariants=(_State(tf.TensorShape([]), images.shape, vector, many, many, many),),
            maximum_iterations=self.steps,
        )[0].final

    def _gradient(self, margin, x, rows, keys):
        """The estimate above. Points outside [0, 1] are asked about as well, as in the paper."""

        def evaluate(chosen, keys):
            signs = tf.sign(seeds.uniform(keys, x.shape[1:]) - 0.5)
            here, of_batch = tf.gather(x, chosen), tf.gather(rows, chosen)
            rise = margin(here + self.delta * signs, of_batch) - margin(here - self.delta * signs, of_batch)
            return [balls.per_example(rise / (2.0 * self.delta), signs) * signs]

        (total,) = queries.sum_over_draws(evaluate, keys, self.samples)
        return total / self.samples
