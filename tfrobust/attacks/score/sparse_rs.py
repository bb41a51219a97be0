"""Sparse-RS: random search for a few pixels, or for the place and colors of a patch, from scores alone.

Croce, Andriushchenko, Singh, Flammarion and Hein, AAAI 2022. Pixels: as many as the ball allows have colors at the corners
of the color cube; a change moves some of them elsewhere, fewer and fewer. Patch: a change gives a square inside the patch
one color, smaller and smaller, at the end it turns over a single value; each fourth change moves the patch instead, less
and less far. A change is kept where it raises the margin.

Every example has changes of its own: in the authors' code all have the same pixels or the same square of a patch changed.
"""

import abc
import dataclasses
import math

import numpy as np
import tensorflow as tf

from tfrobust import balls, seeds
from tfrobust.attacks import active, fields
from tfrobust.attacks.attack import Access, Attack
from tfrobust.attacks.problem import Problem
from tfrobust.attacks.score.windows import covered, offsets, random_window

_AFTER = np.array([0, 50, 200, 500, 1000, 2000, 4000, 6000, 8000])  # queries, of 10,000, with which the share falls
_DIVISORS = np.array([1, 2, 4, 5, 6, 8, 10, 12, 15, 20])  # of the share of moving pixels
_AFTER_OF_PATCH = np.array([10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000])  # with which the share of a patch halves
_MOVES, _MOVES_TOWARD_GOALS = 4, 10  # changes of a patch, of which one moves it
_FARTHEST = 0.75  # of the first moves, as a share of the height
_PAINTED = 4  # squares of which a patch is made to begin with, for each of its places


@dataclasses.dataclass(frozen=True)
class SparseRS(Attack):
    """The bounded attack. An example stops as soon as it is broken; else the image of the largest margin is returned.

    Attributes:
      ball: `L0(pixels)`, how many may change.
      shape: "pixels", anywhere, or "patch", a square whose side is the root of that number, rounded down.
      queries: per example, the start included (and one more at the clean image).
      share: of the pixels, those that the first changes move; of a patch, what they give one color.
      schedule: the number of queries that the schedule for 10,000 is squeezed into; None: `queries`, as in the paper.

    Memory: 7 batches of images, whatever `queries`.

    Example:
      >>> attack = SparseRS(balls.L0(10))
      >>> adversarial = attack(lambda images: my_python_scores(images.numpy()), images, labels, seed=0)
    """

    ball: fields.Pixels = dataclasses.field()
    _: dataclasses.KW_ONLY
    shape: fields.Shape = "pixels"
    queries: fields.Count = 5000
    share: fields.Share = 0.3
    schedule: fields.Count | None = None

    name = "sparse_rs"
    needs = Access.SCORE_BASED

    def run(self, problem: Problem) -> tf.Tensor:
        if int(self.ball.radius) == 0:
            return problem.images
        search = (_Patch if self.shape == "patch" else _Pixels)(self, problem.images.shape[1:])

        def step(count, here, state):
            x, margin, found = state
            candidate, other = search.change(here, x, found, count + 1, seeds.fold_in(here.keys, count + 1))
            value = here.margin(candidate)
            better = value > margin
            kept = tf.nest.map_structure(
                lambda new, old: tf.where(balls.per_example(better, new), new, old), other, found
            )
            x, margin = tf.where(balls.per_example(better, x), candidate, x), tf.maximum(value, margin)
            return (x, margin, kept), (x, margin > 0.0), margin > 0.0

        x, found = search.start(problem, seeds.fold_in(problem.keys, 0))
        margin = problem.margin(x)
        broken = margin > 0.0
        return active.loop(step, problem, (x, margin, found), (x, broken), self.queries - 1, done=broken)[0]

    def at_query(self, after: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Of a schedule for 10,000 queries: the value at each of these, whose number is the first of `after` not below it."""
        query = np.arange(self.queries) * 10_000 // (self.schedule or self.queries)
        return values[np.searchsorted(after, query)]


class _Search(abc.ABC):
    """The abstract search, on images of a shape."""

    @abc.abstractmethod
    def start(self, here, keys):
        """(images, what the search keeps of each example: a nest of tensors)."""

    @abc.abstractmethod
    def change(self, here, x, found, query, keys):
        """The same after a random change."""


class _Pixels(_Search):
    """What is kept: the places of the pixels, int32 [active, pixels]."""

    def __init__(self, attack: SparseRS, shape):
        self.area, self.channels = shape[0] * shape[1], shape[2]
        self.count = min(int(attack.ball.radius), self.area)
        moving = (attack.at_query(_AFTER, attack.share / _DIVISORS) * self.count).astype("int32")
        self.moving = tf.constant(np.clip(moving, 1, max(self.area - self.count, 1)))

    def start(self, here, keys):
        places = tf.math.top_k(self._scores(here, keys), self.count).indices
        colors = self._colors(seeds.fold_in(keys, 1), tf.constant(self.count), self._at(here.images, places))
        return self._painted(here.images, places, colors), places

    def change(self, here, x, found, query, keys):
        moving = tf.gather(self.moving, query)
        some = tf.math.top_k(seeds.uniform(seeds.fold_in(keys, 0), [self.count]), moving).indices
        left = tf.gather(found, some, batch_dims=1)
        scores = tf.tensor_scatter_nd_update(self._scores(here, keys), _pairs(found), tf.fill(tf.shape(found), -2.0))
        taken = tf.math.top_k(scores, moving).indices
        x = self._painted(x, left, self._at(here.images, left))
        x = self._painted(x, taken, self._colors(keys, moving, self._at(here.images, taken)))
        return x, tf.tensor_scatter_nd_update(found, _pairs(some), taken)

    def _scores(self, here, keys):
        """Of each pixel, random: float32 [active, area]; below 0 for one that must not change."""
        scores = seeds.uniform(seeds.fold_in(keys, 2), [self.area])
        if here.pixels is None:
            return scores
        free = tf.reduce_any(tf.broadcast_to(here.pixels, [1, *here.images.shape[1:]]), axis=-1)
        return tf.where(tf.reshape(free, [1, -1]), scores, -1.0)

    def _colors(self, keys, count, clean):
        """Corners of the color cube, float32 like `clean` [active, count, channels]; a single one is not the clean color."""
        draws = seeds.uniform(seeds.fold_in(keys, 3), [self.count, self.channels])[:, :count]
        colors = tf.cast(draws < 0.5, tf.float32)
        same = tf.reduce_all(colors == clean, axis=-1, keepdims=True) & (count == 1)
        turned = draws <= tf.reduce_min(draws, axis=-1, keepdims=True)  # one channel, at random
        return tf.where(same & turned, 1.0 - colors, colors)

    def _at(self, images, places):
        return tf.gather(tf.reshape(images, [-1, self.area, self.channels]), places, batch_dims=1)

    def _painted(self, images, places, colors):
        flat = tf.reshape(images, [-1, self.area, self.channels])
        return tf.reshape(tf.tensor_scatter_nd_update(flat, _pairs(places), colors), tf.shape(images))


def _pairs(places):
    """(example, place) of each: int32 [active, places, 2]."""
    rows = tf.broadcast_to(tf.range(tf.shape(places)[0])[:, None], tf.shape(places))
    return tf.stack([rows, places], axis=-1)


class _Patch(_Search):
    """What is kept: the patch, float32 [active, side, side, channels], and its upper left corner, int32 [active, 2]."""

    def __init__(self, attack: SparseRS, shape):
        height, width, self.channels = shape
        self.side = min(math.isqrt(int(attack.ball.radius)), height, width)
        self.farthest = tf.constant([height - self.side, width - self.side])
        shares = attack.share / 2.0 ** np.arange(len(_AFTER_OF_PATCH) + 1)
        sides = np.maximum(np.sqrt(attack.at_query(_AFTER_OF_PATCH, shares)) * self.side, 1).astype("int32")
        first_single = int(np.argmax(sides == 1)) if (sides == 1).any() else len(sides)
        self.sides = tf.constant(sides)
        self.single_values_from = first_single + (len(sides) - first_single) // 2
        self.reach = tf.constant((_FARTHEST * np.arange(len(sides), 0, -1) / len(sides) * height).astype("int32"))

    def start(self, here, keys):
        largest = max(math.ceil(math.sqrt(self.side)) - 1, 1)

        def paint(index, patch):
            square = seeds.fold_in(keys, 4 + index)
            side = 1 + seeds.integers(seeds.fold_in(square, 0), [1], largest)[:, 0]
            return index + 1, self._with_square(patch, square, side, self._color(square))

        patch = tf.zeros([tf.shape(keys)[0], self.side, self.side, self.channels])
        patch = tf.while_loop(
            lambda *_: True, paint, (tf.constant(0), patch), maximum_iterations=_PAINTED * self.side**2
        )[1]
        corner = tf.cast(seeds.uniform(seeds.fold_in(keys, 1), [2]) * tf.cast(self.farthest + 1, tf.float32), tf.int32)
        return self._placed(here, patch, corner), (patch, corner)

    def change(self, here, x, found, query, keys):
        patch, corner = found
        every = _MOVES if here.goals is None else _MOVES_TOWARD_GOALS
        reach = tf.gather(self.reach, query)
        found = tf.cond(
            (query % every == 0) & (reach > 0),
            lambda: (patch, self._moved(corner, keys, reach)),
            lambda: (self._repainted(patch, keys, query), corner),
        )
        return self._placed(here, *found), found

    def _moved(self, corner, keys, reach):
        draws = seeds.uniform(seeds.fold_in(keys, 1), [2])
        step = tf.cast(tf.floor(draws * tf.cast(2 * reach + 1, tf.float32)), tf.int32) - reach
        return tf.clip_by_value(corner + step, 0, self.farthest)

    def _repainted(self, patch, keys, query):
        side = tf.fill(tf.shape(keys)[:1], tf.gather(self.sides, query))
        color = self._color(keys)
        draws = seeds.uniform(seeds.fold_in(keys, 2), [self.channels])
        turned = (draws <= tf.reduce_min(draws, axis=1, keepdims=True))[:, None, None]  # one channel, at random
        if self.channels == 1:
            turned = tf.ones_like(turned)
        single = query >= self.single_values_from
        same = tf.reduce_all(color == patch, axis=-1, keepdims=True) & (side == 1)[:, None, None, None]
        other = tf.where(turned, 1.0 - patch, patch)
        return self._with_square(patch, keys, side, tf.where(same | single, other, color + tf.zeros_like(patch)))

    def _color(self, keys):
        """A corner of the color cube: float32 [active, 1, 1, channels]."""
        return tf.cast(seeds.uniform(seeds.fold_in(keys, 3), [self.channels]) < 0.5, tf.float32)[:, None, None]

    def _with_square(self, patch, keys, side, values):
        """The patch with other values in a square at a random place; `side` int32 [active]."""
        draws = seeds.uniform(seeds.fold_in(keys, 0), [2])
        row, column = (random_window(draws[:, axis], side, self.side)[0] for axis in (0, 1))
        return tf.where((row[:, :, None] & column[:, None])[..., None], values, patch)

    def _placed(self, here, patch, corner):
        """The clean images with the patches on them."""
        height, width, _ = here.images.shape[1:]
        row, column = offsets(corner[:, 0], height), offsets(corner[:, 1], width)
        in_row, in_column = covered(row, self.side), covered(column, self.side)
        row, column = (tf.clip_by_value(place, 0, self.side - 1) for place in (row, column))
        spread = tf.gather(tf.gather(patch, row, axis=1, batch_dims=1), column, axis=2, batch_dims=1)
        return tf.where((in_row[:, :, None] & in_column[:, None])[..., None], spread, here.images)
