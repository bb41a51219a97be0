"""The boundary attack: a random walk along the decision boundary towards the image, from labels alone.

Brendel, Rauber and Bethge, ICLR 2018, algorithm 1 and section 2. One step at distance r from the image:

    sphere = image + r * unit(x + spherical_step * r * unit(noise) - image)       noise orthogonal to x - image
    x      = image + (1 - source_step) * r * unit(sphere - image)                 if the model's answer stays wrong

Both step sizes follow how often they do (section 2.4).
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust import balls, gradients, seeds
from tfrobust.attacks import queries
from tfrobust.errors import InputError

_TEST_EVERY = 10  # steps between questions about the spherical step alone, as in the authors' code
_HALVINGS = 10  # of the way from the image to its start
_CONVERGED = 1e-7  # a source step below which nothing more is to be gained
_ADAPTATION = 1.5
_SPHERICAL_WINDOW = 5  # answers after which the spherical step follows them: 50 steps, where the authors wait for 1000
_SOURCE_WINDOW = 20  # the same for the source step, which is answered at each step


class _Rate(NamedTuple):
    """How often something worked since the step size was last set; both float32 [working]."""

    tried: tf.Tensor
    worked: tf.Tensor

    def count(self, tried, worked):
        return _Rate(self.tried + tf.cast(tried, tf.float32), self.worked + tf.cast(tried & worked, tf.float32))


class _Walk(NamedTuple):
    """The loop's state. From `rows` on: of the examples still at work."""

    step: tf.Tensor
    final: tf.Tensor  # [batch, ...] what examples that have converged ended at
    rows: tf.Tensor  # int32 [working]
    x: tf.Tensor
    spherical_step: tf.Tensor  # [working] both are shares of the distance to the image
    source_step: tf.Tensor
    spherical: _Rate
    source: _Rate


@dataclasses.dataclass(frozen=True, eq=False)  # arrays neither compare nor hash
class Boundary:
    """The minimal-norm attack. Already misclassified images come back unchanged, and so do those without a start.

    Attributes:
      norm: `balls.L2`, the norm that is made small.
      steps: of the walk; 11 queries for 10 steps.
      spherical_step, source_step: the first step sizes, as shares of the distance to the image.
      tries: uniform random images that are tried as a start.
      starts: images to start from instead, float32 [candidates, height, width, channels] or the path of an .npy file
        with them; each example takes the first that does.
      targeted: `labels` are the answers that the attacker wants; random starts hardly ever have them.

    Example:
      >>> attack = Boundary(steps=5000)
      >>> adversarial = attack(lambda images: my_python_classifier(images.numpy()), images, labels, seed=0)
    """

    norm: type[balls.Ball] = balls.L2
    steps: int = 5000
    spherical_step: float = 0.01
    source_step: float = 0.01
    tries: int = 100
    starts: np.ndarray | str | None = None
    targeted: bool = False

    needs = "labels"

    def __post_init__(self):
        if self.norm is not balls.L2:
            raise InputError(f"boundary works in l2, got {self.norm!r}")
        if not all(isinstance(value, int) and value >= 1 for value in (self.steps, self.tries)):
            raise InputError(f"boundary needs whole steps and tries of at least 1, got {self.steps} and {self.tries}")
        if not (0 < self.spherical_step < 1 and 0 < self.source_step < 1):
            raise InputError("boundary needs spherical_step and source_step above 0 and below 1")
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

        def succeeds_at(candidates, rows):
            answers = queries.predictions(gradients.for_rows(logits_fn, rows), candidates)
            return queries.succeeds(answers, tf.gather(labels, rows), self.targeted)

        rows, x = queries.begin(
            succeeds_at, images, seeds.fold_in(keys, -1), tries=self.tries, given=self.starts, halvings=_HALVINGS
        )

        def advance(state):
            return (self._advance(state, succeeds_at, images, keys),)

        ones = tf.ones_like(rows, tf.float32)
        never = _Rate(0.0 * ones, 0.0 * ones)
        state = _Walk(
            tf.constant(0), images, rows, x, self.spherical_step * ones, self.source_step * ones, never, never
        )
        vector = tf.TensorShape([None])
        many, rate = tf.TensorShape([None, *images.shape[1:]]), _Rate(vector, vector)
        state = tf.while_loop(
            lambda state: tf.size(state.rows) > 0,
            advance,
            (state,),
            shape_invariants=(_Walk(tf.TensorShape([]), images.shape, vector, many, vector, vector, rate, rate),),
            maximum_iterations=self.steps,
        )[0]
        return tf.tensor_scatter_nd_update(state.final, state.rows[:, None], state.x)

    def _advance(self, state, succeeds_at, images, keys):
        """One step of all examples still at work."""
        clean = tf.gather(images, state.rows)
        noise = seeds.normal(seeds.fold_in(tf.gather(keys, state.rows), state.step), images.shape[1:])
        sphere, candidate = _propose(clean, state.x, noise, state.spherical_step, state.source_step)
        testing = state.step % _TEST_EVERY == 0
        on_sphere = tf.cond(testing, lambda: succeeds_at(sphere, state.rows), lambda: tf.ones_like(state.rows, tf.bool))
        asked = tf.where(on_sphere)[:, 0]
        hits = succeeds_at(tf.gather(candidate, asked), tf.gather(state.rows, asked))
        hit = tf.tensor_scatter_nd_update(on_sphere, asked[:, None], hits)
        x = tf.where(balls.per_example(hit, candidate), candidate, state.x)

        spherical, spherical_factor = _adapt(state.spherical.count(testing, on_sphere), 0.2, 0.5, _SPHERICAL_WINDOW)
        source, source_factor = _adapt(state.source.count(True, hit), 0.15, 0.3, _SOURCE_WINDOW)
        spherical_step = tf.minimum(state.spherical_step * spherical_factor, 1.0)
        source_step = tf.minimum(state.source_step * source_factor, 0.5)

        kept = source_step >= _CONVERGED
        ended = state.rows[~kept][:, None]
        final = tf.tensor_scatter_nd_update(state.final, ended, x[~kept])
        moving = (state.rows, x, spherical_step, source_step, spherical, source)
        return _Walk(state.step + 1, final, *tf.nest.map_structure(lambda part: part[kept], moving))


def _propose(clean, x, noise, spherical_step, source_step):
    """Two candidates: on the sphere around the clean image, and that one nearer to it (section 2.3)."""
    away = x - clean
    distance = balls.per_example(balls.L2.size(away), x)
    unit = balls.L2.steepest(away)
    noise -= unit * balls.per_example(tf.reduce_sum(noise * unit, axis=[1, 2, 3]), x)
    aside = balls.per_example(spherical_step, x) * balls.L2.steepest(noise)
    sphere = tf.clip_by_value(clean + distance * balls.L2.steepest(unit + aside), 0.0, 1.0)
    away = sphere - clean  # not longer than `distance`, since clipping only shortens it
    wanted = (1.0 - balls.per_example(source_step, x)) * distance
    shrink = tf.minimum(1.0, wanted / tf.maximum(balls.per_example(balls.L2.size(away), x), 1e-12))
    return sphere, clean + shrink * away


def _adapt(rate, low, high, window):
    """After `window` tries: counts begin again, and a factor for the step size. Fewer than `low` work: smaller steps."""
    full = rate.tried >= window
    share = rate.worked / tf.maximum(rate.tried, 1.0)
    larger, smaller = full & (share > high), full & (share < low)
    factor = tf.where(larger, _ADAPTATION, tf.where(smaller, 1.0 / _ADAPTATION, 1.0))
    return _Rate(*[tf.where(full, 0.0, count) for count in rate]), factor
