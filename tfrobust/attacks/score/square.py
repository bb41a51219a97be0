"""Square: random search with squares of pixels, from scores alone.

Andriushchenko, Croce, Flammarion and Hein, ECCV 2020, algorithm 1: a random change of a square is kept where it raises
the margin. In linf a square is set to the ball's surface (algorithm 2); in l2 mass moves from one square to another
(algorithm 3), and so in l1 (Croce and Hein, ICML 2021, "Mind the box", section 4). The side of the square follows a schedule (section 4).

Every example has squares of its own. A square may lie anywhere inside the image: the authors' code never reaches the
last row and column.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfrobust import balls, seeds
from tfrobust.attacks import active, fields
from tfrobust.attacks.attack import Access, Attack
from tfrobust.attacks.problem import Problem
from tfrobust.attacks.score.windows import random_window

_HALVINGS = np.array([10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000])  # of p, for 10,000 queries
_BITS = 23  # of a uniform draw


@dataclasses.dataclass(frozen=True)
class Square(Attack):
    """The bounded attack. An example stops as soon as it is broken; else the point of the largest margin is returned.

    Attributes:
      ball: the allowed perturbations, `Linf(radius)`, `L2(radius)` or `L1(radius)`.
      queries: per example and run, the start included (and one more at the clean image).
      p: the first share of the pixels in a square; the paper's schedule halves it nine times in 10,000 queries.
      restarts: runs, each on the examples that the runs before have left.
      schedule: the number of queries that this schedule is squeezed into; None: `queries`, as in the paper, so that a
        short search gets to small squares too. AutoAttack's authors leave it at 10,000 whatever `queries`.

    Memory: 10 batches of images, in l2 12 and in l1 16, whatever `queries`; in l2 and l1 also 80 * p * height * width bytes at most, of patterns.

    Example:
      >>> attack = Square(balls.Linf(8 / 255), queries=5000)
      >>> adversarial = attack(lambda images: my_python_scores(images.numpy()), images, labels, seed=0)
    """

    ball: fields.NormBall = dataclasses.field()
    _: dataclasses.KW_ONLY
    queries: fields.Count = 5000
    p: fields.Share = 0.8
    restarts: fields.Count = 1
    schedule: fields.Count | None = None

    name = "square"
    needs = Access.SCORE_BASED

    def run(self, problem: Problem) -> tf.Tensor:
        def run(index, here, state):
            x, broken = self._search(here.replace(keys=seeds.fold_in(here.keys, index)))
            return state, x, broken

        return active.loop(run, problem, (), problem.images, self.restarts)

    def _search(self, problem):
        """One search: (images, bool [examples] whether they are a success)."""
        bumpy = not isinstance(self.ball, balls.Linf)
        sides = self._sides(problem.images.shape, odd=bumpy)
        start: Callable = _stripes
        propose: Callable = _square
        if bumpy:
            bumps = _Bumps(type(self.ball))
            start, propose = bumps.start, functools.partial(bumps.move, bumps.patterns(sides))

        def step(count, here, state):
            x, margin = state
            step_keys, side = seeds.fold_in(here.keys, count), tf.gather(tf.constant(sides), count)
            candidate = propose(step_keys, here.images, x, self.ball.radius, side, here.pixels)
            found = here.margin(candidate)
            x = tf.where(balls.per_example(found > margin, x), candidate, x)
            margin = tf.maximum(found, margin)
            return (x, margin), (x, margin > 0.0), margin > 0.0

        x = start(seeds.fold_in(problem.keys, -1), problem.images, self.ball.radius, problem.pixels)
        margin = problem.margin(x)
        broken = margin > 0.0
        return active.loop(step, problem, (x, margin), (x, broken), self.queries - 1, done=broken)

    def _sides(self, shape, odd):
        """The side of the square at each step, int32 [queries]: the root of p * height * width, and it fits."""
        _, height, width, _ = shape
        halvings = np.searchsorted(_HALVINGS, np.arange(self.queries) * 10_000 // (self.schedule or self.queries))
        sides = np.round(np.sqrt(self.p / 2.0**halvings * height * width)).astype("int32")
        if odd:
            sides = np.maximum(sides, 3) // 2 * 2 + 1
        return np.clip(sides, 1, min(height, width)).astype("int32")


def _signs(draws):
    """Uniform draws -> -1 or 1."""
    return tf.where(draws < 0.5, -1.0, 1.0)


def _stripes(keys, clean, radius, pixels=None):
    """Vertical stripes of +-radius (section 4.2), one sign per column and channel."""
    signs = _signs(seeds.uniform(keys, [1, *clean.shape[2:]]))
    return tf.clip_by_value(clean + radius * _confine(signs, pixels), 0.0, 1.0)


def _confine(values, pixels):
    """The values of the pixels that may change, and 0 or False elsewhere."""
    return values if pixels is None else tf.where(pixels, values, tf.zeros_like(values))


def _square(keys, clean, x, radius, side, pixels=None):
    """One square set to +-radius, one sign per channel; if that changed nothing, to other signs (as the authors do)."""
    height, width, channels = clean.shape[1:]
    row, column, first, other = tf.unstack(seeds.uniform(keys, [4]), axis=1)
    square = (
        random_window(row, side, height)[0][:, :, None, None] & random_window(column, side, width)[0][:, None, :, None]
    )
    square = _confine(square, pixels)
    kinds = 2 ** min(channels, _BITS)

    def painted(kind):
        bits = tf.bitwise.right_shift(kind[:, None], tf.range(channels)[None] % _BITS) % 2
        signs = 2.0 * tf.cast(bits, tf.float32) - 1.0
        return tf.where(square, tf.clip_by_value(clean + radius * signs[:, None, None, :], 0.0, 1.0), x)

    kind = tf.cast(first * kinds, tf.int32)
    candidate = painted(kind)
    idle = tf.reduce_all(candidate == x, axis=[1, 2, 3])
    different = (kind + 1 + tf.cast(other * (kinds - 1), tf.int32)) % kinds
    return tf.where(balls.per_example(idle, x), painted(different), candidate)


@dataclasses.dataclass(frozen=True)
class _Bumps:
    """The search in l2 or l1: perturbations are bumps, whose mass is a sum of squares in l2, of absolute values in l1.

    Attributes:
      norm: `balls.L2` or `balls.L1`.
    """

    norm: type[balls.Ball]

    @property
    def _power(self):
        return 2.0 if self.norm is balls.L2 else 1.0

    def _mass(self, delta):
        """Of each channel: [batch, 1, 1, channels]."""
        return tf.reduce_sum(tf.pow(tf.abs(delta), self._power), axis=[1, 2], keepdims=True)

    def _of_mass(self, mass, delta):
        """Scales each channel."""
        power = 1.0 / self._power
        return delta * tf.pow(mass, power) / (tf.pow(self._mass(delta), power) + 1e-12)

    def _inside(self, clean, delta, radius):
        """The image on the ball's surface, as far as [0, 1] lets it."""
        if self.norm is balls.L2:
            return tf.clip_by_value(clean + radius * balls.L2.steepest(delta), 0.0, 1.0)
        return balls.L1.nearest_image(clean + delta, clean, radius * (1.0 - 1e-6))

    def move(self, patterns, keys, clean, x, radius, side, pixels=None):
        """One square takes over the mass of another and what the ball has left, in the shape of two bumps (algorithm 3)."""
        height, width, channels = clean.shape[1:]
        draws = seeds.uniform(keys, [5 + channels])
        in_row, row = random_window(draws[:, 0], side, height)
        in_column, column = random_window(draws[:, 1], side, width)
        receiver = _confine(in_row[:, :, None, None] & in_column[:, None, :, None], pixels)
        donor = (
            random_window(draws[:, 2], side, height)[0][:, :, None]
            & random_window(draws[:, 3], side, width)[0][:, None]
        )
        donor = donor[..., None]

        delta = x - clean
        unused = tf.maximum(radius**self._power - tf.pow(self.norm.size(delta), self._power), 0.0) / channels
        mass = self._mass(tf.where(receiver | donor, delta, 0.0)) + unused[:, None, None, None]
        if self.norm is balls.L1:
            mass *= channels  # as in the authors' code; the projection takes it back
        bumps = tf.where(receiver, patterns(side, draws[:, 4], row, column), 0.0) * _signs(draws[:, None, None, 5:])
        mixed = self._of_mass(mass, bumps + self._of_mass(1.0, tf.where(receiver, delta, 0.0)))
        return self._inside(clean, tf.where(receiver, mixed, tf.where(donor, 0.0, delta)), radius)

    def start(self, keys, clean, radius, pixels=None):
        """A grid of about 5 x 5 tiles of two bumps each, with random signs and turns (section 4.3)."""
        height, width, channels = clean.shape[1:]
        side = max(min(height, width) // 5, 1)
        tiles = (height // side, width // side)
        bumps = two_bumps(side, self.norm)
        margins = [
            ((size - count * side) // 2, -(-(size - count * side) // 2)) for size, count in zip((height, width), tiles)
        ]
        upright, turned = (np.pad(np.tile(kind, tiles), margins)[None, :, :, None] for kind in (bumps, bumps.T))
        draws = seeds.uniform(keys, [*tiles, 1 + channels])
        tile_of = [
            np.clip((np.arange(size) - before) // side, 0, count - 1)
            for size, count, (before, _) in zip((height, width), tiles, margins)
        ]
        draws = tf.gather(tf.gather(draws, tile_of[0], axis=1), tile_of[1], axis=2)
        shape = tf.where(draws[..., :1] < 0.5, tf.constant(upright), tf.constant(turned))
        return self._inside(clean, _confine(shape * _signs(draws[..., 1:]), pixels), radius)

    def patterns(self, sides):
        """A function that reads `two_bumps` or their transpose at positions inside a square of one of the sides."""
        kinds = sorted(set(sides.tolist()))
        largest = kinds[-1]
        bumps = [np.pad(two_bumps(side, self.norm), (0, largest - side)) for side in kinds]
        table = tf.constant(np.stack([[one, one.T] for one in bumps]).reshape(-1))

        def read(side, turn, row, column):
            kind = tf.reduce_sum(tf.cast(side > kinds, tf.int32)) * 2 + tf.cast(turn < 0.5, tf.int32)
            row, column = (tf.clip_by_value(place, 0, largest - 1) for place in (row, column))
            place = (kind[:, None, None] * largest + row[:, :, None]) * largest + column[:, None, :]
            return tf.gather(table, place)[..., None]

        return read


def two_bumps(side: int, norm: type[balls.Ball] = balls.L2) -> np.ndarray:
    """Two rectangles one above the other, of opposite signs, that rise toward their middles: eq. 2, of norm 1.

    Args:
      side: of the square that they fill.
      norm: `balls.L2`, or `balls.L1`, in which they are steeper.

    Returns:
      float32 array [side, side].
    """
    order = 2 if norm is balls.L2 else 1
    upper, lower = (_bump(height, side, order) for height in (side // 2, side - side // 2))
    both = np.concatenate([upper, -lower])
    return (both / np.linalg.norm(both.ravel(), order)).astype("float32")


def _bump(height, width, order):
    """Nested squares of sides 1, 3, 5, … with weights 1, 1/4, 1/9, … (the squares of these in l1), cut off at the
    rectangle; of norm 1.
    """
    distance = np.maximum(np.abs(np.arange(height) - height // 2)[:, None], np.abs(np.arange(width) - width // 2)[None])
    squares = 1.0 / np.arange(1, max(height, width) // 2 + 2) ** (4.0 / order)
    bump = np.cumsum(squares[::-1])[::-1][distance]  # a place lies in all squares from its distance on
    return bump / np.linalg.norm(bump.ravel(), order) if bump.size else bump
