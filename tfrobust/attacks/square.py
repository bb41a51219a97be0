"""Square: random search with squares of pixels, from scores alone.

Andriushchenko, Croce, Flammarion and Hein, ECCV 2020, algorithm 1: a random change of a square is kept where it raises
the margin. In linf a square is set to the ball's surface (algorithm 2); in l2 mass moves from one square to another
(algorithm 3). The side of the square follows a schedule (section 4).

Every example has squares of its own. A square may lie anywhere inside the image: the authors' code never reaches the
last row and column.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust import balls, seeds
from tfrobust.attacks import survivors
from tfrobust.errors import InputError

_HALVINGS = np.array([10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000])  # of p, for 10,000 queries
_BITS = 23  # of a uniform draw


class _Search(NamedTuple):
    """The loop's state. From `rows` on: of the examples still at work."""

    step: tf.Tensor
    final: tf.Tensor  # [examples of this run, ...] where those that are broken ended
    broken: tf.Tensor  # bool [examples of this run]
    rows: tf.Tensor  # int32 [working]
    clean: tf.Tensor
    x: tf.Tensor
    margin: tf.Tensor  # [working] at x


@dataclasses.dataclass(frozen=True)
class Square:
    """The bounded attack. An example stops as soon as it is broken; else the point of the largest margin is returned.

    Attributes:
      ball: the allowed perturbations, `Linf(radius)` or `L2(radius)`.
      queries: per example and run, the start included (and one more at the clean image).
      p: the first share of the pixels in a square; the paper's schedule halves it nine times in 10,000 queries.
      restarts: runs, each on the examples that the runs before have left.
      schedule: the number of queries that this schedule is squeezed into; None: `queries`, as in the paper, so that a
        short search gets to small squares too. AutoAttack's authors leave it at 10,000 whatever `queries`.

    Example:
      >>> attack = Square(balls.Linf(8 / 255), queries=5000)
      >>> adversarial = attack(lambda images: my_python_scores(images.numpy()), images, labels, seed=0)
    """

    ball: balls.Ball
    queries: int = 5000
    p: float = 0.8
    restarts: int = 1
    schedule: int | None = None

    needs = "scores"

    def __post_init__(self):
        if not isinstance(self.ball, (balls.Linf, balls.L2)):
            raise InputError(f"square needs a linf or l2 ball with a radius, such as linf(8/255); got {self.ball!r}")
        if not all(isinstance(value, int) and value >= 1 for value in (self.queries, self.restarts)):
            raise InputError(
                f"square needs whole queries and restarts of at least 1, got {self.queries} and {self.restarts}"
            )
        if self.schedule is not None and not (isinstance(self.schedule, int) and self.schedule >= 1):
            raise InputError(f"schedule must be a whole number of at least 1 or None, got {self.schedule!r}")
        if not 0 < self.p <= 1:
            raise InputError(f"p must be above 0 and at most 1, got {self.p!r}")

    def __call__(self, logits_fn, images, labels, *, seed):
        """Attacks a batch.

        Args:
          logits_fn: images -> logits [batch, classes]; any Python function, if called eagerly.
          images: float32 [batch, height, width, channels] in [0, 1].
          labels: int [batch], the true labels.
          seed: an int, or per-example seeds int32 [batch, 2] from `seeds.per_example`.

        Returns:
          float32 images of the same shape, inside the ball and inside [0, 1].
        """
        images, labels = tf.convert_to_tensor(images), tf.cast(labels, tf.int32)
        keys = seeds.resolve(seed, images)
        rows, _ = survivors.standing(logits_fn, images, labels)

        def run(index, rows):
            run_keys = seeds.fold_in(tf.gather(keys, rows), index)
            return self._run(logits_fn, rows, tf.gather(images, rows), tf.gather(labels, rows), run_keys)

        return survivors.repeat(run, self.restarts, images, rows)[0]

    def _run(self, logits_fn, rows, images, labels, keys):
        """One search: (images, bool [examples] whether they are broken)."""
        start, propose = (_stripes, _square) if isinstance(self.ball, balls.Linf) else (_bumps, _two_squares)
        sides = self._sides(images.shape, odd=propose is _two_squares)
        patterns = _patterns(sides) if propose is _two_squares else None

        def margins(chosen, x):
            return survivors.margins(logits_fn, tf.gather(rows, chosen), x, tf.gather(labels, chosen))

        def search(state):
            step_keys = seeds.fold_in(tf.gather(keys, state.rows), state.step)
            side = tf.gather(tf.constant(sides), state.step)
            candidate = propose(step_keys, state.clean, state.x, self.ball.radius, side, patterns)
            margin = margins(state.rows, candidate)
            better = margin > state.margin
            x = tf.where(balls.per_example(better, candidate), candidate, state.x)
            return (_retire(state._replace(step=state.step + 1, x=x, margin=tf.maximum(margin, state.margin))),)

        every = tf.range(tf.shape(images)[0])
        x = start(seeds.fold_in(keys, -1), images, self.ball.radius)
        margin = margins(every, x)
        state = _Search(tf.constant(0), images, tf.zeros_like(every, tf.bool), every, images, x, margin)
        vector, many = tf.TensorShape([None]), tf.TensorShape([None, *images.shape[1:]])
        state = tf.while_loop(
            lambda state: tf.size(state.rows) > 0,
            search,
            (_retire(state),),
            shape_invariants=(_Search(tf.TensorShape([]), many, vector, vector, many, many, vector),),
            maximum_iterations=self.queries - 1,
        )[0]
        return tf.tensor_scatter_nd_update(state.final, state.rows[:, None], state.x), state.broken

    def _sides(self, shape, odd):
        """The side of the square at each step, int32 [queries]: the root of p * height * width, and it fits."""
        _, height, width, _ = shape
        halvings = np.searchsorted(_HALVINGS, np.arange(self.queries) * 10_000 // (self.schedule or self.queries))
        sides = np.round(np.sqrt(self.p / 2.0**halvings * height * width)).astype("int32")
        if odd:
            sides = np.maximum(sides, 3) // 2 * 2 + 1
        return np.clip(sides, 1, min(height, width)).astype("int32")


def _retire(state):
    """The state without the examples that are broken, which end where they are."""
    broken = state.margin > 0.0
    ended = tf.boolean_mask(state.rows, broken)[:, None]
    kept = tf.where(~broken)[:, 0]
    return _Search(
        state.step,
        tf.tensor_scatter_nd_update(state.final, ended, tf.boolean_mask(state.x, broken)),
        tf.tensor_scatter_nd_update(state.broken, ended, tf.ones_like(ended[:, 0], tf.bool)),
        *[tf.gather(part, kept) for part in state[3:]],
    )


def _signs(draws):
    """Uniform draws -> -1 or 1."""
    return tf.where(draws < 0.5, -1.0, 1.0)


def _window(corner, side, size):
    """Which of `size` places an interval covers that begins at a random corner: draws [batch] -> bool [batch, size].

    Also the position inside the interval: int32 [batch, size].
    """
    first = tf.cast(corner * tf.cast(size - side + 1, tf.float32), tf.int32)
    inside = tf.range(size)[None] - first[:, None]
    return (inside >= 0) & (inside < side), inside


def _stripes(keys, clean, radius):
    """Vertical stripes of +-radius (section 4.2), one sign per column and channel."""
    signs = _signs(seeds.uniform(keys, [1, *clean.shape[2:]]))
    return tf.clip_by_value(clean + radius * signs, 0.0, 1.0)


def _square(keys, clean, x, radius, side, _):
    """One square set to +-radius, one sign per channel; if that changed nothing, to other signs (as the authors do)."""
    height, width, channels = clean.shape[1:]
    row, column, first, other = tf.unstack(seeds.uniform(keys, [4]), axis=1)
    square = _window(row, side, height)[0][:, :, None, None] & _window(column, side, width)[0][:, None, :, None]
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


def _two_squares(keys, clean, x, radius, side, patterns):
    """One square takes over the mass of another and what the ball has left, in the shape of two bumps (algorithm 3)."""
    height, width, channels = clean.shape[1:]
    draws = seeds.uniform(keys, [5 + channels])
    in_row, row = _window(draws[:, 0], side, height)
    in_column, column = _window(draws[:, 1], side, width)
    receiver = in_row[:, :, None, None] & in_column[:, None, :, None]
    donor = (_window(draws[:, 2], side, height)[0][:, :, None] & _window(draws[:, 3], side, width)[0][:, None])[
        ..., None
    ]

    delta = x - clean
    unused = tf.maximum(radius**2 - tf.square(balls.L2.size(delta)), 0.0) / channels
    mass = _energy(tf.where(receiver | donor, delta, 0.0)) + unused[:, None, None, None]
    own = tf.where(receiver, delta, 0.0)
    bumps = tf.where(receiver, patterns(side, draws[:, 4], row, column), 0.0) * _signs(draws[:, None, None, 5:])
    mixed = bumps + own / (tf.sqrt(_energy(own)) + 1e-12)
    mixed *= tf.sqrt(mass) / (tf.sqrt(_energy(mixed)) + 1e-12)
    delta = tf.where(receiver, mixed, tf.where(donor, 0.0, delta))
    return tf.clip_by_value(clean + radius * balls.L2.steepest(delta), 0.0, 1.0)


def _energy(delta):
    """The sum of squares of each channel: [batch, 1, 1, channels]."""
    return tf.reduce_sum(tf.square(delta), axis=[1, 2], keepdims=True)


def _bumps(keys, clean, radius):
    """The start in l2: a grid of about 5 x 5 tiles of two bumps each, with random signs and turns (section 4.3)."""
    height, width, channels = clean.shape[1:]
    side = max(min(height, width) // 5, 1)
    tiles = (height // side, width // side)
    bumps = two_bumps(side)
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
    return tf.clip_by_value(clean + radius * balls.L2.steepest(shape * _signs(draws[..., 1:])), 0.0, 1.0)


def _patterns(sides):
    """A function that reads `two_bumps` or their transpose at positions inside a square of one of the sides."""
    kinds = sorted(set(sides.tolist()))
    largest = kinds[-1]
    bumps = [np.pad(two_bumps(side), (0, largest - side)) for side in kinds]
    table = tf.constant(np.stack([[one, one.T] for one in bumps]).reshape(-1))

    def read(side, turn, row, column):
        kind = tf.reduce_sum(tf.cast(side > kinds, tf.int32)) * 2 + tf.cast(turn < 0.5, tf.int32)
        row, column = (tf.clip_by_value(place, 0, largest - 1) for place in (row, column))
        place = (kind[:, None, None] * largest + row[:, :, None]) * largest + column[:, None, :]
        return tf.gather(table, place)[..., None]

    return read


def two_bumps(side):
    """Two rectangles one above the other, of opposite signs, that rise towards their middles: eq. 2, of norm 1.

    Args:
      side: of the square that they fill.

    Returns:
      float32 array [side, side].
    """
    upper, lower = _bump(side // 2, side), _bump(side - side // 2, side)
    both = np.concatenate([upper, -lower])
    return (both / np.linalg.norm(both)).astype("float32")


def _bump(height, width):
    """Nested squares of sides 1, 3, 5, … with weights 1, 1/4, 1/9, …, cut off at the rectangle; of norm 1."""
    distance = np.maximum(np.abs(np.arange(height) - height // 2)[:, None], np.abs(np.arange(width) - width // 2)[None])
    squares = 1.0 / np.arange(1, max(height, width) // 2 + 2) ** 2
    bump = np.cumsum(squares[::-1])[::-1][distance]  # a place lies in all squares from its distance on
    return bump / np.linalg.norm(bump) if bump.size else bump
