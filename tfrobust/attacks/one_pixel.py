"""The one-pixel attack: differential evolution of a few pixels' places and colours, from scores alone.

Su, Vargas and Sakurai, IEEE Transactions on Evolutionary Computation 2019, sections III-B and III-C. Each generation
makes one child per member, DE/rand/1 without crossover, which takes its parent's place if it is fitter:

    child_i = x_a + 0.5 * (x_b - x_c)           a, b, c random and different

A member holds (row, column, colour...) of each pixel. Colours are rounded to 8 bits before the model sees them.
"""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from tfrobust import balls, gradients, objectives, seeds
from tfrobust.attacks import queries
from tfrobust.errors import InputError

_FACTOR = 0.5  # F
_GRACE = 0.2  # share of the generations before an example may be given up
_ASKED = 0.5  # share of the way to a success that is asked of an example at most
_COLOUR_MEAN, _COLOUR_DEVIATION = 128 / 255, 127 / 255  # of the first generation


class _State(NamedTuple):
    """The loop's state. From `rows` on: of the examples still at work."""

    generation: tf.Tensor  # how many there were, not counting the first
    final: tf.Tensor  # [batch, ...]
    rows: tf.Tensor  # int32 [working]
    members: tf.Tensor  # [working, population, pixels, 2 + channels]
    fitness: tf.Tensor  # [working, population]
    start: tf.Tensor  # [working] the mean fitness of the first generation


@dataclasses.dataclass(frozen=True)
class OnePixel:
    """Changes at most so many pixels. An image that is not broken comes back unchanged.

    Attributes:
      ball: `balls.L0(pixels)`.
      population: members for each example.
      generations: after the first, at most; an example that is broken stops.
      targeted: `labels` are the answers that the attacker wants.
      abort_early: after a fifth of the generations, stop for examples whose fittest member has not come as much of the way
        from the first generation's mean fitness to a success as generations are spent; half of the way always suffices.
        Saves three fifths of the queries where few images fall, and lost no success (docs/results.md).

    Example:
      >>> adversarial = OnePixel(balls.L0(3))(logits_fn, images, labels, seed=0)
    """

    ball: balls.Ball
    population: int = 400
    generations: int = 100
    targeted: bool = False
    abort_early: bool = True

    needs = "scores"

    def __post_init__(self):
        if not isinstance(self.ball, balls.L0):
            raise InputError(f"one_pixel needs a number of pixels, such as l0(1); got {self.ball!r}")
        if not (isinstance(self.population, int) and self.population >= 4):
            raise InputError(f"population must be a whole number of at least 4, got {self.population!r}")
        if not (isinstance(self.generations, int) and self.generations >= 0):
            raise InputError(f"generations must be a whole number of at least 0, got {self.generations!r}")

    def __call__(self, logits_fn, images, labels, *, seed):
        """Attacks a batch.

        Args:
          logits_fn: images -> logits [batch, classes]; any Python function, if called eagerly.
          images: float32 [batch, height, width, channels] in [0, 1].
          labels: int [batch], the true labels, or the wanted ones if it is targeted.
          seed: an int, or per-example seeds int32 [batch, 2] from `seeds.per_example`.

        Returns:
          float32 images of the same shape inside [0, 1], of which at most the ball's number of pixels differ.
        """
        images, labels = tf.convert_to_tensor(images), tf.cast(labels, tf.int32)
        if int(self.ball.radius) == 0:
            return tf.identity(images)
        keys = seeds.resolve(seed, images)

        def judge(rows, members):
            """The fitness of members of these examples, and whether they are a success; both [n]."""
            shown = _paint(tf.gather(images, rows), members)
            logits = queries.scores(gradients.for_rows(logits_fn, rows), shown)
            wanted, predicted = tf.gather(labels, rows), tf.argmax(logits, axis=1, output_type=tf.int32)
            return self._aim(logits, wanted), queries.succeeds(predicted, wanted, self.targeted)

        predicted = tf.argmax(queries.scores(logits_fn, images), axis=1, output_type=tf.int32)
        rows = tf.cast(tf.where(~queries.succeeds(predicted, labels, self.targeted))[:, 0], tf.int32)
        members = self._first_generation(tf.gather(keys, rows), images.shape[1:])
        unfit = tf.fill(tf.shape(members)[:2], float("-inf"))
        state = _State(tf.constant(0), images, rows, members, unfit, unfit[:, 0])
        state = self._select(state, members, judge, images)
        state = state._replace(start=tf.reduce_mean(state.fitness, axis=1))

        def evolve(state):
            state = state._replace(generation=state.generation + 1)
            children = _children(seeds.fold_in(tf.gather(keys, state.rows), state.generation), state.members)
            return (self._hopeful(self._select(state, _inside(children, images.shape[1:3]), judge, images)),)

        vector, members = tf.TensorShape([None]), tf.TensorShape([None, *state.members.shape[1:]])
        return tf.while_loop(
            lambda state: tf.size(state.rows) > 0,
            evolve,
            (state,),
            shape_invariants=(_State(tf.TensorShape([]), images.shape, vector, members, members[:2], vector),),
            maximum_iterations=self.generations,
        )[0].final

    def _aim(self, logits, labels):
        """The paper's fitness, the probability of the label or of the goal, by its odds: they order alike."""
        objective = objectives.targeted(objectives.log_odds) if self.targeted else objectives.log_odds
        return objective(logits, labels)

    def _first_generation(self, keys, shape):
        """Places uniform, colours normal (section III-C)."""
        count = [self.population, int(self.ball.radius)]
        places = seeds.uniform(seeds.fold_in(keys, -1), [*count, 2]) * tf.constant([*shape[:2]], tf.float32)
        colours = _COLOUR_MEAN + _COLOUR_DEVIATION * seeds.normal(seeds.fold_in(keys, -2), [*count, shape[2]])
        return _inside(tf.concat([places, colours], axis=-1), shape[:2])

    def _select(self, state, children, judge, images):
        """Asks about all children that show something new, and lets each take its parent's place if it is fitter.

        Examples with a success leave the work with their fittest one.
        """
        new = tf.reduce_any(_shown(children) != _shown(state.members), axis=[2, 3]) | (state.fitness < -1e38)
        asked = tf.where(new)
        fitness, success = _in_chunks(judge, state.rows, asked, children)
        fitness = tf.tensor_scatter_nd_update(tf.fill(tf.shape(new), float("-inf")), asked, fitness)
        success = tf.tensor_scatter_nd_update(tf.zeros_like(new), asked, success)
        better = fitness > state.fitness
        members = tf.where(better[:, :, None, None], children, state.members)
        winner = tf.argmax(tf.where(success, fitness, float("-inf")), axis=1)
        done = tf.reduce_any(success, axis=1)
        painted = _paint(tf.gather(images, state.rows), tf.gather(children, winner, batch_dims=1))
        final = tf.tensor_scatter_nd_update(state.final, state.rows[done][:, None], painted[done])
        fitness = tf.maximum(fitness, state.fitness)
        return _only(~done, state._replace(final=final, members=members, fitness=fitness))

    def _hopeful(self, state):
        """The state of the examples that may still come to a success."""
        if not self.abort_early:
            return state
        spent = tf.cast(state.generation, tf.float32) / max(self.generations, 1)
        come = tf.reduce_max(state.fitness, axis=1) - state.start
        return _only((come >= tf.minimum(spent, _ASKED) * -state.start) | (spent < _GRACE), state)


def _only(kept, state):
    """The state without the examples that are not kept, bool [working]."""
    rows, *parts = (part[kept] for part in (state.rows, state.members, state.fitness, state.start))
    return _State(state.generation, state.final, rows, *parts)


def _children(keys, members):
    """DE/rand/1: three different members for each child."""
    population = members.shape[1]
    drawn = [seeds.integers(seeds.fold_in(keys, i), [population], population - i) for i in range(3)]
    a, b, c = drawn
    b += tf.cast(b >= a, tf.int32)
    for taken in (tf.minimum(a, b), tf.maximum(a, b)):
        c += tf.cast(c >= taken, tf.int32)
    a, b, c = (tf.gather(members, chosen, batch_dims=1) for chosen in (a, b, c))
    return a + _FACTOR * (b - c)


def _inside(members, sides):
    """Places and colours cut to the image and to [0, 1]."""
    highest = tf.concat([tf.constant([*sides], tf.float32) - 1e-3, tf.ones([members.shape[-1] - 2])], axis=0)
    return tf.clip_by_value(members, 0.0, highest)


def _shown(members):
    """What of a member is visible: whole rows and columns, and colours in 8 bits."""
    return tf.concat([tf.floor(members[..., :2]), tf.round(members[..., 2:] * 255.0) / 255.0], axis=-1)


def _paint(images, members):
    """Puts pixels [n, pixels, 2 + channels] on images [n, height, width, channels]; the last wins where two meet."""
    every = tf.range(tf.shape(images)[0])
    for pixel in tf.unstack(_shown(members), axis=1):
        row, column = tf.unstack(tf.cast(pixel[:, :2], tf.int32), axis=1)
        images = tf.tensor_scatter_nd_update(images, tf.stack([every, row, column], axis=1), pixel[:, 2:])
    return images


def _in_chunks(judge, rows, asked, children):
    """`judge` for the children at places `asked` [n, 2], a bounded number of images at a time."""
    count = tf.shape(asked)[0]

    def some(start, fitness, success):
        chunk = asked[start : start + queries.AT_ONCE]
        more_fitness, more_success = judge(tf.gather(rows, chunk[:, 0]), tf.gather_nd(children, chunk))
        at = tf.range(start, start + tf.shape(chunk)[0])[:, None]
        return (
            start + queries.AT_ONCE,
            tf.tensor_scatter_nd_update(fitness, at, more_fitness),
            tf.tensor_scatter_nd_update(success, at, more_success),
        )

    loop = (tf.constant(0), tf.fill([count], float("-inf")), tf.fill([count], False))
    return tf.while_loop(lambda start, *_: start < count, some, loop)[1:]
