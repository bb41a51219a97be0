"""HopSkipJump: gradient steps along the decision boundary, the gradient estimated from labels alone.

Chen, Jordan and Wainwright, S&P 2020, algorithm 2. With phi = 1 where the model's answer is what the attacker wants
and -1 elsewhere, at a point x on the boundary:

    direction = sum_b (phi(x + delta * u_b) - mean phi) * u_b         u_b random of l2 norm 1       (eqs. 9 and 16)

then a step along it, halved until its end is adversarial, and bisection back to the boundary.
"""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from tfrobust import balls, gradients, seeds
from tfrobust.attacks import queries
from tfrobust.errors import InputError

_MOST_TRIES = 20  # of a step that is halved each time; one that has to be smaller is not made
_MOST_HALVINGS = 22  # in float32 more do not move a pixel


@dataclasses.dataclass(frozen=True, eq=False)  # arrays neither compare nor hash
class HopSkipJump:
    """The minimal-norm attack. Already misclassified images come back unchanged, and so do those without a start.

    Attributes:
      norm: `balls.L2` or `balls.Linf`, the norm that is made small.
      steps: of the algorithm; step t asks about `samples` * sqrt(t) directions, `max_samples` at most.
      samples, max_samples: as said.
      tries: uniform random images that are tried as a start, by those that have none yet.
      starts: images to start from instead, float32 [candidates, height, width, channels] or the path of an .npy file
        with them; each example takes the first that does.
      targeted: `labels` are the answers that the attacker wants; random starts hardly ever have them.

    Example:
      >>> attack = HopSkipJump(balls.Linf, steps=30)
      >>> adversarial = attack(lambda images: my_python_classifier(images.numpy()), images, labels, seed=0)
    """

    norm: type[balls.Ball] = balls.L2
    steps: int = 50
    samples: int = 100
    max_samples: int = 10_000
    tries: int = 1000
    starts: np.ndarray | str | None = None
    targeted: bool = False

    needs = "labels"

    def __post_init__(self):
        if self.norm not in (balls.L2, balls.Linf):
            raise InputError(f"hop_skip_jump works in l2 and linf, got {self.norm!r}")
        for name in ("steps", "samples", "max_samples", "tries"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise InputError(f"{name} must be a whole number of at least 1, got {value!r}")
        object.__setattr__(self, "starts", queries.load_starts(self.starts))

    def __call__(self, logits_fn, images, labels, *, seed):
        """Attacks a batch.

        Args:
          logits_fn: images -> logits [batch, classes] or labels [batch]; any Python function, if called eagerly.
          images: float32 [batch, height, width, channels] in [0, 1].
          labels: int [batch], the true labels, or the wanted ones if it is targeted.
          seed: an int, or per-example seeds int32 [batch, 2] from `seeds.per_example`.

        Returns:
          float32 images of the same shape inside [0, 1].
        """
        images, labels = tf.convert_to_tensor(images), tf.cast(labels, tf.int32)
        keys = seeds.resolve(seed, images)
        dimensions = math.prod(images.shape[1:])
        # theta of section IV-C: how near to the boundary bisection goes, as a share of the distance.
        theta = dimensions**-1.5 if self.norm is balls.L2 else float(dimensions) ** -2
        halvings = min(math.ceil(-math.log2(theta)), _MOST_HALVINGS)

        def succeeds_at(candidates, rows):
            answers = queries.predictions(gradients.for_rows(logits_fn, rows), candidates)
            return queries.succeeds(answers, tf.gather(labels, rows), self.targeted)

        rows, x = queries.begin(
            succeeds_at,
            images,
            seeds.fold_in(keys, -1),
            norm=self.norm,
            tries=self.tries,
            given=self.starts,
            halvings=halvings,
        )
        clean, keys = tf.gather(images, rows), tf.gather(keys, rows)

        def step(count, x, best, size):
            # Section IV-C: delta is the distance times sqrt(d) theta (l2) or d theta (linf), 0.1 at first.
            share = theta * (math.sqrt(dimensions) if self.norm is balls.L2 else dimensions)
            distance = self.norm.size(x - clean)
            radius = tf.where(count == 1, 0.1, share * tf.maximum(distance, 1e-12))
            wanted = self.samples * tf.sqrt(tf.cast(count, tf.float32))
            draws = tf.minimum(tf.cast(wanted, tf.int32), self.max_samples)
            direction = self._direction(succeeds_at, x, rows, radius, seeds.fold_in(keys, count), draws)
            first = distance / tf.sqrt(tf.cast(count, tf.float32))
            x = _step(succeeds_at, x, rows, direction, first)
            x = queries.toward_boundary(self.norm, lambda images: succeeds_at(images, rows), clean, x, halvings)
            reached = self.norm.size(x - clean)
            best = tf.where(balls.per_example(reached < size, x), x, best)
            return count + 1, x, best, tf.minimum(reached, size)

        loop = (tf.constant(1), x, x, self.norm.size(x - clean))
        best = tf.while_loop(lambda *_: tf.size(rows) > 0, step, loop, maximum_iterations=self.steps)[2]
        return tf.tensor_scatter_nd_update(images, rows[:, None], best)

    def _direction(self, succeeds_at, x, rows, radius, keys, draws):
        """The estimated steepest direction of unit size (section III-B); draws that leave [0, 1] are clipped first."""
        shape = x.shape[1:]

        def evaluate(chosen, keys):
            draw = seeds.normal(keys, shape) if self.norm is balls.L2 else 2.0 * seeds.uniform(keys, shape) - 1.0
            here, scale = tf.gather(x, chosen), balls.per_example(tf.gather(radius, chosen), x)
            shown = tf.clip_by_value(here + scale * balls.L2.steepest(draw), 0.0, 1.0)
            draw = (shown - here) / scale
            sign = 2.0 * tf.cast(succeeds_at(shown, tf.gather(rows, chosen)), tf.float32) - 1.0
            return [balls.per_example(sign, draw) * draw, draw, sign]

        signed, plain, signs = queries.sum_over_draws(evaluate, keys, draws)
        mean = signs / tf.cast(draws, tf.float32)
        one_sided = tf.abs(mean) == 1.0  # then there is no difference to the mean: that of the draws is taken
        estimate = signed - balls.per_example(tf.where(one_sided, 0.0, mean), plain) * plain
        return self.norm.steepest(estimate)


def _step(succeeds_at, x, rows, direction, size):
    """A step of the given sizes, halved for each example until its end is adversarial; else none (section IV-C)."""

    def attempt(moved, working, size):
        here = tf.gather(x, working)
        length = balls.per_example(tf.gather(size, working), here)
        candidate = tf.clip_by_value(here + length * tf.gather(direction, working), 0.0, 1.0)
        hit = succeeds_at(candidate, tf.gather(rows, working))
        moved = tf.tensor_scatter_nd_update(moved, working[hit][:, None], candidate[hit])
        return moved, working[~hit], size / 2.0

    return tf.while_loop(
        lambda moved, working, size: tf.size(working) > 0,
        attempt,
        (x, tf.range(tf.size(rows)), size),
        shape_invariants=(x.shape, tf.TensorShape([None]), size.shape),
        maximum_iterations=_MOST_TRIES,
    )[0]
