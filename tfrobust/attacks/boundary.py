"""The boundary attack: a random walk along the decision boundary towards the image, from labels alone.

Brendel, Rauber and Bethge, ICLR 2018, algorithm 1 and section 2. One step at distance r from the image:

    sphere = image + r * unit(x + spherical_step * r * unit(noise) - image)       noise orthogonal to x - image
    x      = image + (1 - source_step) * r * unit(sphere - image)                 if the model's answer stays wrong

Both step sizes follow how often they do (section 2.4).
"""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust import balls, gradients, seeds
from tfrobust.attacks import queries
from tfrobust.errors import InputError

_TEST_EVERY = 10  # steps of a round; its first asks about the spherical step alone too, as in the authors' code
_HALVINGS = 10  # of the way from the image to its start
_CONVERGED = 1e-7  # a source step below which nothing more is to be gained
_PROGRESS_EVERY, _PROGRESS = 500, 0.06  # steps between tests for progress, and the share of the distance that has to go
_ADAPTATION = 1.5
_SPHERICAL_WINDOW = 5  # answers after which the spherical step follows them: 50 steps, where the authors wait for 1000
_SOURCE_WINDOW = 20  # the same for the source step, which is answered at each step


class _Rate(NamedTuple):
    """How often something worked since the step size was last set; both float32 [working]."""

    tried: tf.Tensor
    worked: tf.Tensor

    def count(self, worked):
        return _Rate(self.tried + 1.0, self.worked + tf.cast(worked, tf.float32))


class _Walk(NamedTuple):
    """Where the examples still at work are."""

    x: tf.Tensor
    spherical_step: tf.Tensor  # [working] both are shares of the distance to the image
    source_step: tf.Tensor
    spherical: _Rate
    source: _Rate
    checked: tf.Tensor  # [working] the distance at the last test for progress


class _State(NamedTuple):
    """Of the loop over rounds."""

    step: tf.Tensor
    final: tf.Tensor  # [batch, ...] what examples that have converged ended at
    rows: tf.Tensor  # int32 [working]
    walk: _Walk


@dataclasses.dataclass(frozen=True, eq=False)  # arrays neither compare nor hash
class Boundary:
    """The minimal-norm attack. Already misclassified images come back unchanged, and so do those without a start.

    Attributes:
      norm: `balls.L2`, the norm that is made small.
      steps: of the walk at most; 11 queries for 10 steps.
      spherical_step, source_step: the first step sizes, as shares of the distance to the image.
      tries: uniform random images that are tried as a start, by those that have none yet.
      starts: images to start from instead, float32 [candidates, height, width, channels] or the path of an .npy file
        with them; each example takes the first that does.
      targeted: `labels` are the answers that the attacker wants; random starts hardly ever have them.
      abort_early: each 500 steps, stop for examples whose distance fell by less than 6 % since the last time. Of 5000
        steps that saves two fifths and leaves distances about a fifth larger (docs/results.md): False where the
        distance itself is the result.

    Example:
      >>> attack = Boundary(steps=5000)
      >>> adversarial = attack(lambda images: my_python_classifier(images.numpy()), images, labels, seed=0)
    """

    norm: type[balls.Ball] = balls.L2
    steps: int = 5000
    spherical_step: float = 0.01
    source_step: float = 0.01
    tries: int = 1000
    starts: np.ndarray | str | None = None
    targeted: bool = False
    abort_early: bool = True

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

        def go_on(state):
            return (self._round(state, succeeds_at, images, keys),)

        ones = tf.ones_like(rows, tf.float32)
        never = _Rate(0.0 * ones, 0.0 * ones)
        walk = _Walk(x, self.spherical_step * ones, self.source_step * ones, never, never, float("inf") * ones)
        vector, many = tf.TensorShape([None]), tf.TensorShape([None, *images.shape[1:]])
        shapes = _Walk(many, vector, vector, _Rate(vector, vector), _Rate(vector, vector), vector)
        state = tf.while_loop(
            lambda state: tf.size(state.rows) > 0,
            go_on,
            (_State(tf.constant(0), images, rows, walk),),
            shape_invariants=(_State(tf.TensorShape([]), images.shape, vector, shapes),),
            maximum_iterations=math.ceil(self.steps / _TEST_EVERY),
        )[0]
        return tf.tensor_scatter_nd_update(state.final, state.rows[:, None], state.walk.x)

    def _round(self, state, succeeds_at, images, keys):
        """`_TEST_EVERY` steps of all examples still at work, then those that make no more progress leave."""
        rows, clean, keys = state.rows, tf.gather(images, state.rows), tf.gather(keys, state.rows)

        def propose(walk, step):
            noise = seeds.normal(seeds.fold_in(keys, step), images.shape[1:])
            return _propose(clean, walk.x, noise, walk.spherical_step, walk.source_step)

        def advance(step, walk):
            _, candidate = propose(walk, step)
            return step + 1, _move(walk, candidate, succeeds_at(candidate, rows))

        sphere, candidate = propose(state.walk, state.step)
        on_sphere = succeeds_at(sphere, rows)
        asked = tf.where(on_sphere)[:, 0]
        hits = succeeds_at(tf.gather(candidate, asked), tf.gather(rows, asked))
        walk = _move(state.walk, candidate, tf.tensor_scatter_nd_update(on_sphere, asked[:, None], hits))
        spherical, factor = _adapt(walk.spherical.count(on_sphere), 0.2, 0.5, _SPHERICAL_WINDOW)
        walk = walk._replace(spherical=spherical, spherical_step=tf.minimum(walk.spherical_step * factor, 1.0))
        step, walk = tf.while_loop(
            lambda step, _: step < self.steps, advance, (state.step + 1, walk), maximum_iterations=_TEST_EVERY - 1
        )

        distance = balls.L2.size(walk.x - clean)
        testing = (step % _PROGRESS_EVERY == 0) & self.abort_early
        kept = (walk.source_step >= _CONVERGED) & ~(testing & (distance > (1.0 - _PROGRESS) * walk.checked))
        walk = walk._replace(checked=tf.where(testing, distance, walk.checked))
        final = tf.tensor_scatter_nd_update(state.final, rows[~kept][:, None], walk.x[~kept])
        return _State(step, final, rows[kept], tf.nest.map_structure(lambda part: part[kept], walk))


def _propose(clean, x, noise, spherical_step, source_step):
    """Two candidates: on the sphere around the clean image, and that one nearer to it (section 2.3).

    The part of the noise along x - clean is taken out, and the rest scaled to the spherical step. That is at right angles
    to x - clean, so back on the sphere is a division by sqrt(1 + spherical_step^2). No quotient has a constant above:
    TensorFlow would compile it to an approximate reciprocal, which rounds by an example's place in the batch.
    """
    away = x - clean
    distance, along = _square_size(away), tf.reduce_sum(noise * away, axis=[1, 2, 3])
    aside = tf.maximum(_square_size(noise) - tf.square(along) / distance, 1e-12)
    shorter = tf.sqrt(distance / (distance * (1.0 + tf.square(spherical_step))))
    of_away = shorter * (1.0 - spherical_step * tf.sign(along) * tf.sqrt(tf.square(along) / (distance * aside)))
    of_noise = shorter * spherical_step * tf.sqrt(distance / aside)
    moved = balls.per_example(of_away, x) * away + balls.per_example(of_noise, x) * noise
    sphere = tf.clip_by_value(clean + moved, 0.0, 1.0)
    away = sphere - clean  # not longer than before, since clipping only shortens it
    shrink = tf.minimum(1.0, (1.0 - source_step) * tf.sqrt(distance / _square_size(away)))
    return sphere, clean + balls.per_example(shrink, x) * away


def _square_size(delta):
    return tf.reduce_sum(tf.square(delta), axis=[1, 2, 3])


def _move(walk, candidate, hit):
    """One step: to the candidates that hit; the source step follows how many do."""
    x = tf.where(balls.per_example(hit, candidate), candidate, walk.x)
    source, factor = _adapt(walk.source.count(hit), 0.15, 0.3, _SOURCE_WINDOW)
    return walk._replace(x=x, source=source, source_step=tf.minimum(walk.source_step * factor, 0.5))


def _adapt(rate, low, high, window):
    """After `window` tries: counts begin again, and a factor for the step size. Fewer than `low` work: smaller steps."""
    full = rate.tried >= window
    share = rate.worked / tf.maximum(rate.tried, 1.0)
    larger, smaller = full & (share > high), full & (share < low)
    factor = tf.where(larger, _ADAPTATION, tf.where(smaller, 1.0 / _ADAPTATION, 1.0))
    return _Rate(*[tf.where(full, 0.0, count) for count in rate]), factor
