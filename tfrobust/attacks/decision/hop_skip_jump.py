"""HopSkipJump: gradient steps along the decision boundary, the gradient estimated from labels alone.

Chen, Jordan and Wainwright, S&P 2020, algorithm 2. With phi = 1 where the model's answer is what the attacker wants
and -1 elsewhere, at a point x on the boundary:

    direction = sum_b (phi(x + delta * u_b) - mean phi) * u_b         u_b random of l2 norm 1       (eqs. 9 and 16)

then a step along it, halved until its end is adversarial, and bisection back to the boundary.
"""

import dataclasses
import math

import tensorflow as tf

from tfrobust import balls, seeds
from tfrobust.attacks import active, fields
from tfrobust.attacks.attack import Access, Attack
from tfrobust.attacks.decision import starts
from tfrobust.attacks.problem import Problem

_MOST_TRIES = 20  # of a step that is halved each time; one that has to be smaller is not made
_MOST_HALVINGS = 22  # in float32 more do not move a pixel
_LEAST_PROBE = 8 * 2.0**-23  # of a value, in float32 steps of 1.0: the model must see that it has moved
_WIDER = 10.0  # how much farther the next probes lie, where the answer to all was the same


@dataclasses.dataclass(frozen=True)
class HopSkipJump(Attack):
    """The minimal-norm attack. Images without a start come back unchanged.

    Attributes:
      norm: `balls.L2` or `balls.Linf`, the norm that is made small.
      steps: of the algorithm; step t asks about `samples` * sqrt(t) directions, `max_samples` at most. They lie as near
        as the paper says, but eight float32 steps of 1.0 in each value at least, and ten times as far from the next step
        on where all have had the same answer, such as from a target that rounds its input; not farther than the image.
      samples, max_samples: as said.
      tries: uniform random images that are tried as a start, by those that have none yet. They hardly ever have a goal.
      starts: images to start from instead, float [candidates, height, width, channels] or the path of an .npy file
        with them; each example takes the first that is a success. What finds none, here or at random, starts from the
        nearest image of the same batch that has an answer it wants: give `starts` to be independent of the batch.

    Memory: 40 batches of images whatever `samples`, and `starts`: directions are asked about a batch at a time.

    Example:
      >>> attack = HopSkipJump(balls.Linf, steps=30)
      >>> adversarial = attack(lambda images: my_python_classifier(images.numpy()), images, labels, seed=0)
    """

    norm: fields.SmoothNorm = balls.L2
    _: dataclasses.KW_ONLY
    steps: fields.Count = 50
    samples: fields.Count = 100
    max_samples: fields.Count = 10_000
    tries: fields.Count = 1000
    starts: fields.Images | None = None

    name = "hop_skip_jump"
    needs = Access.DECISION_BASED

    def run(self, problem: Problem) -> tf.Tensor:
        dimensions = math.prod(problem.images.shape[1:])
        # theta of section IV-C: how near to the boundary bisection goes, as a share of the distance.
        theta = dimensions**-1.5 if self.norm is balls.L2 else float(dimensions) ** -2
        halvings = min(math.ceil(-math.log2(theta)), _MOST_HALVINGS)
        rows, x = starts.begin(
            problem,
            seeds.fold_in(problem.keys, -1),
            norm=self.norm,
            tries=self.tries,
            given=self.starts,
            halvings=halvings,
        )
        here = problem.at(rows)

        def step(count, x, best, size, wider):
            # Section IV-C: delta is the distance times sqrt(d) theta (l2) or d theta (linf), 0.1 at first.
            share = theta * (math.sqrt(dimensions) if self.norm is balls.L2 else dimensions)
            distance = self.norm.size(x - here.images)
            radius = tf.where(count == 1, 0.1, share * tf.maximum(distance, 1e-12))
            radius = wider * tf.maximum(radius, _LEAST_PROBE * math.sqrt(dimensions))
            radius = tf.minimum(radius, tf.maximum(balls.L2.size(x - here.images), _LEAST_PROBE))
            wanted = self.samples * tf.sqrt(tf.cast(count, tf.float32))
            draws = tf.minimum(tf.cast(wanted, tf.int32), self.max_samples)
            seeded = here.replace(keys=seeds.fold_in(here.keys, count))
            direction, one_sided = self._direction(seeded, x, radius, draws)
            x = _step(here, x, direction, distance / tf.sqrt(tf.cast(count, tf.float32)))
            x = starts.toward_boundary(self.norm, here, x, halvings)
            reached = self.norm.size(x - here.images)
            best = tf.where(balls.per_example(reached < size, x), x, best)
            return count + 1, x, best, tf.minimum(reached, size), tf.where(one_sided, _WIDER, 1.0) * wider

        size = self.norm.size(x - here.images)
        loop = (tf.constant(1), x, x, size, tf.ones_like(size))
        best = tf.while_loop(lambda *_: tf.size(rows) > 0, step, loop, maximum_iterations=self.steps)[2]
        return tf.tensor_scatter_nd_update(problem.images, rows[:, None], best)

    def _direction(self, here, x, radius, draws):
        """The estimated steepest direction of unit size (section III-B), and where all answers were the same.

        Draws that leave [0, 1] are clipped first.
        """
        shape = x.shape[1:]

        def evaluate(pairs, rows):
            keys = pairs.keys
            draw = seeds.normal(keys, shape) if self.norm is balls.L2 else 2.0 * seeds.uniform(keys, shape) - 1.0
            at, scale = tf.gather(x, rows), balls.per_example(tf.gather(radius, rows), x)
            shown = tf.clip_by_value(at + scale * balls.L2.steepest(draw), 0.0, 1.0)
            draw = (shown - at) / scale
            sign = 2.0 * tf.cast(pairs.succeeds(shown), tf.float32) - 1.0
            return [balls.per_example(sign, draw) * draw, draw, sign]

        signed, plain, signs = here.sum_over_draws(evaluate, draws)
        mean = signs / tf.cast(draws, tf.float32)
        one_sided = tf.abs(mean) == 1.0  # then there is no difference to the mean: that of the draws is taken
        estimate = signed - balls.per_example(tf.where(one_sided, 0.0, mean), plain) * plain
        return self.norm.steepest(estimate), one_sided


def _step(problem, x, direction, size):
    """A step of the given sizes, halved for each example until its end is adversarial; else none (section IV-C)."""

    def attempt(_, here, state):
        x, direction, size = state
        candidate = tf.clip_by_value(x + balls.per_example(size, x) * direction, 0.0, 1.0)
        hit = here.succeeds(candidate)
        return (x, direction, size / 2.0), tf.where(balls.per_example(hit, x), candidate, x), hit

    return active.loop(attempt, problem, (x, direction, size), x, _MOST_TRIES)
