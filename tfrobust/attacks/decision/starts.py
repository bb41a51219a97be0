"""Where decision-based attacks start: on the attacker's side of the boundary, near to it.

Nothing here differentiates. The model may be any function of images, also one outside TensorFlow if it is called
eagerly.
"""

import tensorflow as tf

from tfrobust import balls, seeds
from tfrobust.attacks import active
from tfrobust.attacks.fields import Array
from tfrobust.attacks.problem import Problem
from tfrobust.errors import InputError


def begin(
    problem: Problem, keys, *, norm: type[balls.Ball] = balls.L2, tries=100, given: Array | None = None, halvings=10
):
    """Images near the boundary, on the attacker's side.

    Random or given images are tried first. An example for which none of them is a success tries the clean images of the
    caller's batch that are known to have an answer that the attacker wants, the nearest first. Only where these come
    from does an example's start, and so its result, depend on the rest of the batch.

    Args:
      problem: of examples that are no success.
      keys: int32 [examples, 2], seeds of these draws.
      norm: `balls.L2` or `balls.Linf`, of `toward_boundary`.
      tries: uniform random images for each example; of the batch, as many again at most.
      given: images [candidates, height, width, channels]; each example takes the first that is a success, and nothing
        random.
      halvings: of the distance to the image.

    Returns:
      (rows int32 [found], starts float32 [found, ...]): the examples for which there is a start.
    """
    shape = tuple(problem.images.shape[1:])
    if given is not None and given.values.shape[1:] != shape:
        raise InputError(f"starts must be images of shape {shape}, got {given.values.shape[1:]}")

    def look(attempt, here, keys):
        if given is None:
            tried = seeds.uniform(seeds.fold_in(keys, attempt), shape)
        else:
            tried = tf.repeat(tf.gather(tf.constant(given.values, tf.float32), [attempt]), tf.shape(keys)[0], axis=0)
        hit = here.succeeds(tried)
        return keys, (tried, hit), hit

    nothing = (problem.images, tf.zeros_like(problem.labels, tf.bool))
    starts, found = active.loop(look, problem, keys, nothing, tries if given is None else len(given.values))
    if problem.whole is not None:
        starts, found = _from_the_batch(problem, tries, starts, found)
    rows = tf.cast(tf.where(found)[:, 0], tf.int32)
    return rows, toward_boundary(norm, problem.at(rows), tf.gather(starts, rows), halvings)


def _from_the_batch(problem, tries, starts, found):
    """The same with starts for those that have none, from the clean images of the caller's batch."""
    whole, lacking = problem.whole, tf.cast(tf.where(~found)[:, 0], tf.int32)

    def look(attempt, here, state):
        order, count = state
        tried = tf.gather(whole.images, order[:, attempt])
        hit = here.succeeds(tried) & (attempt < count)
        return state, (tried, hit), hit | (attempt + 1 >= count)

    def search():
        here = problem.at(lacking)
        answers = whole.clean_predictions()[None]
        wanted = answers != here.labels[:, None] if here.goals is None else answers == here.goals[:, None]
        wanted &= answers >= 0  # an answer that is not a number is none
        order = tf.argsort(tf.where(wanted, _square_distances(here.images, whole.images), float("inf")), axis=1)
        count = tf.math.count_nonzero(wanted, axis=1, dtype=tf.int32)
        nothing = (here.images, tf.zeros_like(here.labels, tf.bool))
        images, hits = active.loop(
            look, here, (order, count), nothing, tf.minimum(tries, tf.shape(order)[1]), count == 0
        )
        rows = lacking[:, None]
        return tf.tensor_scatter_nd_update(starts, rows, images), tf.tensor_scatter_nd_update(found, rows, hits)

    return tf.cond(tf.size(lacking) > 0, search, lambda: (starts, found))


def _square_distances(some, others):
    """float32 [some, others], squares of l2 distances between images."""
    some, others = (tf.reshape(images, [tf.shape(images)[0], -1]) for images in (some, others))
    squares = [tf.reduce_sum(tf.square(images), axis=1) for images in (some, others)]
    return squares[0][:, None] + squares[1][None] - 2.0 * tf.matmul(some, others, transpose_b=True)


def toward_boundary(norm, problem, adversarial, steps):
    """Bisects between images and adversarial ones; returns adversarial ones nearby the boundary.

    In l2 along the straight line, in linf through the balls around the image (Chen et al., S&P 2020, section IV-C).

    Args:
      norm: `balls.L2` or `balls.Linf`.
      problem: of the images.
      adversarial: float32 [examples, height, width, channels].
      steps: halvings of the distance, one query each.
    """
    images = problem.images
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
        hit = problem.succeeds(candidate)
        best = tf.where(balls.per_example(hit, best), candidate, best)
        return tf.where(hit, low, middle), tf.where(hit, middle, high), best

    loop = (tf.zeros_like(size), tf.ones_like(size), adversarial)
    return tf.while_loop(lambda *_: True, halve, loop, maximum_iterations=steps)[2]
