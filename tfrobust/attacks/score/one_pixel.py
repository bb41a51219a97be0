"""The one-pixel attack: differential evolution of a few pixels' places and colors, from scores alone.

Su, Vargas and Sakurai, IEEE Transactions on Evolutionary Computation 2019, sections III-B and III-C. Each generation
makes one child per member, DE/rand/1 without crossover, which takes its parent's place if it is fitter:

    child_i = x_a + 0.5 * (x_b - x_c)           a, b, c random and different

A member holds (row, column, color...) of each pixel. Colors are rounded to 8 bits before the model sees them.
"""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from tfrobust import objectives, seeds
from tfrobust.attacks import active, fields
from tfrobust.attacks.attack import Access, Attack
from tfrobust.attacks.problem import Problem

_FACTOR = 0.5  # F
_GRACE = 0.2  # share of the generations before an example may be given up
_ASKED = 0.5  # share of the way to a success that is asked of an example at most
_COLOR_MEAN, _COLOR_DEVIATION = 128 / 255, 127 / 255  # of the first generation


class _Population(NamedTuple):
    """What goes from generation to generation, of the active examples."""

    members: tf.Tensor  # [active, population, pixels, 2 + channels]
    fitness: tf.Tensor  # [active, population]
    start: tf.Tensor  # [active] the mean fitness of the first generation


@dataclasses.dataclass(frozen=True)
class OnePixel(Attack):
    """Changes at most so many pixels. Where no member is a success, the image is the fittest's.

    Attributes:
      ball: `balls.L0(pixels)`.
      population: members for each example.
      steps: generations after the first, at most; an example that is broken stops.
      abort_early: after a fifth of the generations, stop for examples whose fittest member has not come as much of the way
        from the first generation's mean fitness to a success as generations are spent; half of the way always suffices.
        Saves three fifths of the queries where few images fall, and lost no success (docs/results.md).

    Memory: 17 batches of images, and several arrays of batch * population * pixels * (2 + channels) * 4 bytes of members.

    Example:
      >>> adversarial = OnePixel(balls.L0(3))(logits_fn, images, labels, seed=0)
    """

    ball: fields.Pixels = dataclasses.field()
    _: dataclasses.KW_ONLY
    population: fields.Crowd = 400
    steps: fields.Whole = 100
    abort_early: fields.Flag = True

    name = "one_pixel"
    needs = Access.SCORE_BASED

    def pose(self, problem: Problem) -> Problem:
        return super().pose(problem).replace(on_grid=True)

    def run(self, problem: Problem) -> tf.Tensor:
        if int(self.ball.radius) == 0:
            return problem.images
        members = self._first_generation(problem.keys, problem.images.shape[1:])
        unfit = tf.fill(tf.shape(members)[:2], float("-inf"))
        first, images, done = _select(problem, _Population(members, unfit, unfit[:, 0]), members)
        first = first._replace(start=tf.reduce_mean(first.fitness, axis=1))

        def evolve(count, here, state):
            generation = count + 1
            children = _children(seeds.fold_in(here.keys, generation), state.members)
            state, images, done = _select(here, state, _inside(children, here.images.shape[1:3]))
            return state, images, done | self._hopeless(generation, state)

        return active.loop(evolve, problem, first, images, self.steps, done=done)

    def _first_generation(self, keys, shape):
        """Places uniform, colors normal (section III-C)."""
        count = [self.population, int(self.ball.radius)]
        places = seeds.uniform(seeds.fold_in(keys, -1), [*count, 2]) * tf.constant([*shape[:2]], tf.float32)
        colors = _COLOR_MEAN + _COLOR_DEVIATION * seeds.normal(seeds.fold_in(keys, -2), [*count, shape[2]])
        return _inside(tf.concat([places, colors], axis=-1), shape[:2])

    def _hopeless(self, generation, state):
        """bool [active]: which examples are given up."""
        if not self.abort_early:
            return tf.zeros_like(state.start, tf.bool)
        spent = tf.cast(generation, tf.float32) / max(self.steps, 1)
        come = tf.reduce_max(state.fitness, axis=1) - state.start
        return (come < tf.minimum(spent, _ASKED) * -state.start) & (spent >= _GRACE)


def _select(here, state, children):
    """Asks about all children that show something new, and lets each take its parent's place if it is fitter.

    Returns:
      (the population after it; the image of the fittest child that is a success, else of the fittest member; whether one is).
    """
    new = tf.reduce_any(_shown(children) != _shown(state.members), axis=[2, 3]) | (state.fitness < -1e38)
    asked = tf.where(new)
    fitness, success = _judge(here, asked, children)
    fitness = tf.tensor_scatter_nd_update(tf.fill(tf.shape(new), float("-inf")), asked, fitness)
    success = tf.tensor_scatter_nd_update(tf.zeros_like(new), asked, success)
    better = fitness > state.fitness
    members = tf.where(better[:, :, None, None], children, state.members)
    done = tf.reduce_any(success, axis=1)
    child = tf.gather(children, tf.argmax(tf.where(success, fitness, float("-inf")), axis=1), batch_dims=1)
    fitness = tf.where(better, fitness, state.fitness)
    fittest = tf.gather(members, tf.argmax(fitness, axis=1), batch_dims=1)
    images = _paint(here.images, tf.where(done[:, None, None], child, fittest))
    return _Population(members, fitness, state.start), images, done


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
    """Places and colors cut to the image and to [0, 1]."""
    highest = tf.concat([tf.constant([*sides], tf.float32) - 1e-3, tf.ones([members.shape[-1] - 2])], axis=0)
    return tf.clip_by_value(members, 0.0, highest)


def _shown(members):
    """What of a member is visible: whole rows and columns, and colors in 8 bits."""
    return tf.concat([tf.floor(members[..., :2]), tf.round(members[..., 2:] * 255.0) / 255.0], axis=-1)


def _paint(images, members):
    """Puts pixels [n, pixels, 2 + channels] on images [n, height, width, channels]; the last wins where two meet."""
    every = tf.range(tf.shape(images)[0])
    for pixel in tf.unstack(members, axis=1):
        row, column = tf.unstack(tf.cast(pixel[:, :2], tf.int32), axis=1)
        images = tf.tensor_scatter_nd_update(images, tf.stack([every, row, column], axis=1), pixel[:, 2:])
    return images


def _judge(here, asked, children):
    """The fitness of the children at places `asked` [n, 2], and whether they are a success; a batch at a time.

    The paper's fitness is the probability of the label or of the goal; its odds order alike.
    """
    count = tf.shape(asked)[0]

    def some(start, fitness, success):
        chunk = asked[start : start + here.batch]
        these = here.at(chunk[:, 0])
        logits = these.logits(_paint(these.images, tf.gather_nd(children, chunk)))
        at = tf.range(start, start + tf.shape(chunk)[0])[:, None]
        return (
            start + here.batch,
            tf.tensor_scatter_nd_update(fitness, at, these.value_of(objectives.log_odds, logits)),
            tf.tensor_scatter_nd_update(success, at, these.wanted(logits)),
        )

    loop = (tf.constant(0), tf.fill([count], float("-inf")), tf.fill([count], False))
    return tf.while_loop(lambda start, *_: start < count, some, loop)[1:]
