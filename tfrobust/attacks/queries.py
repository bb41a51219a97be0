"""Questions that black-box attacks ask a model: in whatever form it answers, many per example, and where to start.

Nothing here differentiates. `logits_fn` may be any function of images, also one outside TensorFlow if it is called
eagerly.
"""

import numpy as np
import tensorflow as tf

from tfrobust import balls, seeds
from tfrobust.errors import InputError

AT_ONCE = 256  # images in one call of the model, where an attack asks more than one question per example


def scores(logits_fn, images):
    """The model's logits as a tensor: float32 [batch, classes]."""
    return tf.cast(tf.convert_to_tensor(logits_fn(images)), tf.float32)


def predictions(logits_fn, images):
    """The model's answers: int32 [batch]. It may give logits [batch, classes], or labels [batch]; none for no image."""

    def ask():
        answer = tf.convert_to_tensor(logits_fn(images))
        return tf.cast(answer if answer.shape.rank == 1 else tf.argmax(answer, axis=1), tf.int32)

    return tf.ensure_shape(tf.cond(tf.shape(images)[0] > 0, ask, lambda: tf.zeros([0], tf.int32)), images.shape[:1])


def succeeds(predicted, labels, targeted):
    """Where the attacker has what he wants: another answer than the label, or the goal that `labels` is then."""
    return tf.equal(predicted, labels) if targeted else tf.not_equal(predicted, labels)


def sum_over_draws(function, keys, draws):
    """Sums of a function of random draws, a bounded number of images at a time.

    Args:
      function: (rows int32 [n], keys int32 [n, 2]) -> a list of float32 [n, ...]: its values for n pairs of an example
        and a draw.
      keys: int32 [batch, 2], the examples' seeds; draw number i folds in i.
      draws: how many, an int.

    Returns:
      A list of float32 [batch, ...].
    """
    examples = tf.shape(keys)[0]
    block = tf.maximum(AT_ONCE // tf.maximum(examples, 1), 1)

    def values(start):
        drawn = tf.range(start, tf.minimum(start + block, draws))
        rows = tf.repeat(tf.range(examples), tf.size(drawn))
        terms = function(rows, seeds.fold_in(tf.gather(keys, rows), tf.tile(drawn, [examples])))
        pairs = [tf.stack([examples, tf.size(drawn)])]
        return [tf.reduce_sum(tf.reshape(t, tf.concat([*pairs, tf.shape(t)[1:]], axis=0)), axis=1) for t in terms]

    def add(start, totals):
        return start + block, [total + value for total, value in zip(totals, values(start))]

    first = (block, values(0))
    return tf.while_loop(lambda start, _: start < draws, add, first, maximum_iterations=draws)[1]


def load_starts(starts):
    """Images to start from: None, an array, or the path of an .npy file -> None or float32 [candidates, ...].

    Raises:
      InputError: for anything else than images in [0, 1].
    """
    if starts is None:
        return None
    if isinstance(starts, str):
        try:
            starts = np.load(starts, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"{starts} is not a readable .npy file of images") from error
    starts = np.asarray(starts)
    if starts.ndim != 4 or starts.dtype.kind != "f" or not (starts.min() >= 0 and starts.max() <= 1):
        raise InputError(
            "starts are float images [candidates, height, width, channels] in [0, 1], "
            f"got {starts.dtype} {starts.shape}"
        )
    return starts.astype("float32")


def begin(succeeds_at, images, keys, *, norm=balls.L2, tries=100, given=None, halvings=10):
    """Where attacks that only see labels start from: images near the boundary, on the attacker's side.

    Args:
      succeeds_at: (images [n, ...], rows int32 [n] of the batch) -> bool [n]: what the attacker wants.
      images: float32 [batch, height, width, channels].
      keys: int32 [batch, 2], seeds of these draws.
      norm: `balls.L2` or `balls.Linf`, of `toward_boundary`.
      tries: uniform random images for each example.
      given: float32 [candidates, height, width, channels]; each example takes the first that does, and nothing random.
      halvings: of the distance to the image.

    Returns:
      (rows int32 [found], starts float32 [found, ...]): the examples that are not there to begin with and for which
      there is a start.
    """
    if given is not None and given.shape[1:] != tuple(images.shape[1:]):
        raise InputError(f"starts must be images of shape {tuple(images.shape[1:])}, got {given.shape[1:]}")
    every = tf.range(tf.shape(images)[0])
    none_yet = tf.fill(tf.shape(every), -1)
    missing = every[~succeeds_at(images, every)]

    def candidates(attempt, rows):
        if given is not None:
            return tf.repeat(tf.gather(given, [attempt]), tf.size(rows), axis=0)
        return seeds.uniform(seeds.fold_in(tf.gather(keys, rows), attempt), images.shape[1:])

    def look(attempt, starts, chosen, rows):
        tried = candidates(attempt, rows)
        hit = succeeds_at(tried, rows)
        starts = tf.tensor_scatter_nd_update(starts, rows[hit][:, None], tried[hit])
        chosen = tf.tensor_scatter_nd_update(chosen, rows[hit][:, None], rows[hit])
        return attempt + 1, starts, chosen, rows[~hit]

    _, starts, chosen, _ = tf.while_loop(
        lambda attempt, starts, chosen, rows: tf.size(rows) > 0,
        look,
        (tf.constant(0), tf.identity(images), none_yet, missing),
        shape_invariants=(tf.TensorShape([]), images.shape, images.shape[:1], tf.TensorShape([None])),
        maximum_iterations=tries if given is None else len(given),
    )
    rows = chosen[chosen >= 0]
    near = toward_boundary(
        norm, lambda x: succeeds_at(x, rows), tf.gather(images, rows), tf.gather(starts, rows), halvings
    )
    return rows, near


def toward_boundary(norm, succeeds_at, images, adversarial, steps):
    """Bisects between images and adversarial ones; returns adversarial ones nearby the boundary.

    In l2 along the straight line, in linf through the balls around the image (Chen et al., S&P 2020, section IV-C).

    Args:
      norm: `balls.L2` or `balls.Linf`.
      succeeds_at: images -> bool [batch].
      images, adversarial: float32 [batch, height, width, channels].
      steps: halvings of the distance, one query each.
    """
    delta = adversarial - images
    size = norm.size(delta)

    def at(share):
        if norm is balls.L2:
            return images + balls.per_example(share, delta) * delta
        limit = balls.per_example(share * size, delta)
        return images + tf.clip_by_value(delta, -limit, limit)

    def halve(low, high, best):
        middle = (low + high) / 2.0
        candidate = at(middle)
        hit = succeeds_at(candidate)
        best = tf.where(balls.per_example(hit, best), candidate, best)
        return tf.where(hit, low, middle), tf.where(hit, middle, high), best

    loop = (tf.zeros_like(size), tf.ones_like(size), adversarial)
    return tf.while_loop(lambda *_: True, halve, loop, maximum_iterations=steps)[2]
