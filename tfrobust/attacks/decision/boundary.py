"""The boundary attack: a random walk along the decision boundary toward the image, from labels alone.

Brendel, Rauber and Bethge, ICLR 2018, algorithm 1 and section 2. One step at distance r from the image:

    sphere = image + r * unit(x + spherical_step * r * unit(noise) - image)       noise orthogonal to x - image
    x      = image + (1 - source_step) * r * unit(sphere - image)                 if the model's answer stays wrong

Both step sizes follow how often they do (section 2.4).
"""

import dataclasses
import math
from typing import NamedTuple

import tensorflow as tf

from tfrobust import balls, seeds
from tfrobust.attacks import active, fields
from tfrobust.attacks.attack import Access, Attack
from tfrobust.attacks.decision import starts
from tfrobust.attacks.problem import Problem

_TEST_EVERY = 10  # steps of a round; its first asks about the spherical step alone too, as in the authors' code
_HALVINGS = 10  # of the way from the image to its start
_CONVERGED = 1e-7  # a source step below which nothing more is to be gained
_ADAPTATION = 1.5
_SPHERICAL_WINDOW = 5  # answers after which the spherical step follows them: 50 steps, where the authors wait for 1000
_SOURCE_WINDOW = 20  # the same for the source step, which is answered at each step


class _Rate(NamedTuple):
    """How often something worked since the step size was last set; both float32 [active]."""

    tried: tf.Tensor
    worked: tf.Tensor

    def count(self, worked):
        return _Rate(self.tried + 1.0, self.worked + tf.cast(worked, tf.float32))


class _Walk(NamedTuple):
    """What goes from round to round, of the active examples."""

    x: tf.Tensor
    spherical_step: tf.Tensor  # [active] both are shares of the distance to the image
    source_step: tf.Tensor
    spherical: _Rate
    source: _Rate


@dataclasses.dataclass(frozen=True)
class Boundary(Attack):
    """The minimal-norm attack. Images without a start come back unchanged.

    Attributes:
      norm: `balls.L2`, the norm that is made small.
      steps: of the walk at most; 11 queries for 10 steps.
      spherical_step, source_step: the first step sizes, as shares of the distance to the image.
      tries: uniform random images that are tried as a start, by those that have none yet. They hardly ever have a goal.
      starts: images to start from instead, float [candidates, height, width, channels] or the path of an .npy file
        with them; each example takes the first that is a success. What finds none, here or at random, starts from the
        nearest image of the same batch that has an answer it wants: give `starts` to be independent of the batch.

    Memory: 19 batches of images whatever `steps`, and `starts`.

    Example:
      >>> attack = Boundary(steps=5000)
      >>> adversarial = attack(lambda images: my_python_classifier(images.numpy()), images, labels, seed=0)
    """

    norm: fields.L2Norm = balls.L2
    _: dataclasses.KW_ONLY
    steps: fields.Count = 5000
    spherical_step: fields.ProperShare = 0.01
    source_step: fields.ProperShare = 0.01
    tries: fields.Count = 1000
    starts: fields.Images | None = None

    name = "boundary"
    needs = Access.DECISION_BASED

    def run(self, problem: Problem) -> tf.Tensor:
        rows, x = starts.begin(
            problem, seeds.fold_in(problem.keys, -1), tries=self.tries, given=self.starts, halvings=_HALVINGS
        )
        ones = tf.ones_like(rows, tf.float32)
        never = _Rate(0.0 * ones, 0.0 * ones)
        walk = _Walk(x, self.spherical_step * ones, self.source_step * ones, never, never)
        found = active.loop(self._round, problem.at(rows), walk, x, math.ceil(self.steps / _TEST_EVERY))
        return tf.tensor_scatter_nd_update(problem.images, rows[:, None], found)

    def _round(self, count, here, walk):
        """`_TEST_EVERY` steps; then examples whose source step has become too small to matter are done."""
        first = count * _TEST_EVERY

        def propose(walk, step):
            noise = seeds.normal(seeds.fold_in(here.keys, step), here.images.shape[1:])
            return _propose(here.images, walk.x, noise, walk.spherical_step, walk.source_step)

        def advance(step, walk):
            _, candidate = propose(walk, step)
            return step + 1, _move(walk, candidate, here.succeeds(candidate))

        sphere, candidate = propose(walk, first)
        on_sphere = here.succeeds(sphere)
        asked = tf.where(on_sphere)[:, 0]
        hits = here.at(asked).succeeds(tf.gather(candidate, asked))
        walk = _move(walk, candidate, tf.tensor_scatter_nd_update(on_sphere, asked[:, None], hits))
        spherical, factor = _adapt(walk.spherical.count(on_sphere), 0.2, 0.5, _SPHERICAL_WINDOW)
        walk = walk._replace(spherical=spherical, spherical_step=tf.minimum(walk.spherical_step * factor, 1.0))
        _, walk = tf.while_loop(
            lambda step, _: step < self.steps, advance, (first + 1, walk), maximum_iterations=_TEST_EVERY - 1
        )
        return walk, walk.x, walk.source_step < _CONVERGED


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
