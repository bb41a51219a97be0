"""The only door from an attack to the model: what it is asked, what it answers, and what the attacker wants of it.

All gradient tapes are here. Everything is itself differentiable, so a defense can train through it.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import tensorflow as tf

from tfrobust import balls, objectives, seeds
from tfrobust.attacks import grid, guard
from tfrobust.attacks.meter import Meter
from tfrobust.attacks.trace import Trace
from tfrobust.errors import InputError
from tfrobust.objectives import Objective

LogitsFn = Callable[[tf.Tensor], tf.Tensor]  # images [batch, height, width, channels] -> logits or labels

_CERTAIN = 1e4  # scores times this say what they said before, with no doubt


class Ascent(NamedTuple):
    """One forward and one backward pass."""

    value: tf.Tensor  # float32 [examples] what is maximized
    gradient: tf.Tensor  # of each example's value with respect to its own image
    logits: tf.Tensor  # float32 [examples, classes]


@dataclasses.dataclass(frozen=True)
class Problem:
    """Some examples, a model, and what an attacker wants: another answer than the label or, with goals, those.

    A problem never changes: `at`, `toward`, `confined` and the like return new ones. An attack that works on fewer and
    fewer examples asks `problem.at(rows)`.

    Attributes:
      model: images -> logits [examples, classes] of any float type, or labels [examples].
      images: the clean images, float32 [examples, height, width, channels] in [0, 1].
      labels: int [examples], the true labels.
      goals: int [examples], the answers that the attacker wants, or None.
      keys: int32 [examples, 2], the seeds of the examples' random draws.
      rows: int32 [examples], which example of the caller's batch each is; default: in order.
      batch: how many images the model is asked about at a time, the caller's batch.
      clean: the model's answers at `images`, once they are known.
      whole: the opened problem of the caller's whole batch, of which this is a part, once it was opened.
      pixels: bool, broadcasts against the images: which may change; None: all.
      samples: draws of a random model over which logits and gradients are averaged.
      on_grid: whether what is changed is rounded to 8 bits before the model sees it.
      grid_ball: the ball that this rounding does not leave, or None.
      meter: counts the queries that are left; None: as many as it takes.
      trace: records each example's best margin at every question; None: nothing does.
      guarded: whether gradients are made fit for an attack, as `Attack.solve` has it, or are the model's own, for checks
        and training. Guarded, they are finite (NaN is 0, and where a logit is NaN, `ascend` leads back to the clean
        image), and small logits are scaled up in the cross-entropy.

    Example:
      >>> problem = Problem(model, images, labels)
      >>> value, gradient = problem.value_and_gradient(objectives.cross_entropy, images)
    """

    model: LogitsFn
    images: tf.Tensor
    labels: tf.Tensor
    goals: tf.Tensor | None = None
    _: dataclasses.KW_ONLY
    keys: tf.Tensor | None = None
    rows: tf.Tensor | None = None
    batch: tf.Tensor | None = None
    clean: tf.Tensor | None = None
    whole: Self | None = None
    pixels: tf.Tensor | None = None
    samples: int = 1
    on_grid: bool = False
    grid_ball: balls.Ball | None = None
    meter: Meter | None = None
    trace: Trace | None = None
    guarded: bool = False

    def __post_init__(self):
        images = tf.cast(tf.convert_to_tensor(self.images), tf.float32)
        count = tf.shape(images)[0]
        defaults = {
            "images": images,
            "labels": tf.cast(self.labels, tf.int32),
            "goals": None if self.goals is None else tf.cast(self.goals, tf.int32),
            "rows": self._first_rows(count) if self.rows is None else self.rows,
            "batch": count if self.batch is None else self.batch,
        }
        for name, value in defaults.items():
            object.__setattr__(self, name, value)

    def _first_rows(self, count):
        return tf.range(count) if self.trace is None else self.trace.start(tf.range(count))

    # ---- other problems ----

    def replace(self, **changes: Any) -> Self:
        """The problem with other attributes."""
        return dataclasses.replace(self, **changes)

    def parts(self) -> dict[str, tf.Tensor]:
        """What it holds of each example; `replace(**parts)` puts it back."""
        found = {name: vars(self)[name] for name in ("images", "labels", "goals", "keys", "rows", "clean")}
        return {name: part for name, part in found.items() if part is not None}

    def at(self, rows: tf.Tensor) -> Self:
        """The problem of some of its examples, int [rows]; one may occur several times."""
        return self.replace(**{name: tf.gather(part, rows) for name, part in self.parts().items()})

    def toward(self, goals: tf.Tensor) -> Self:
        """The problem of an attacker who wants these answers, int [examples]."""
        return self.replace(goals=goals)

    def confined(self, pixels: tf.Tensor) -> Self:
        """The problem in which only some pixels may change: bool, broadcasts against the images."""
        return self.replace(pixels=pixels if self.pixels is None else pixels & self.pixels)

    def averaged(self, samples: int) -> Self:
        """The problem of a model that answers differently each time: its mean over draws.

        With a query budget the one draw of the clean answers stays, which was paid for.
        """
        return self.replace(samples=samples * self.samples, clean=None if self.meter is None else self.clean)

    def confine(self, delta: tf.Tensor) -> tf.Tensor:
        """Perturbations of the pixels that may change alone: float32, like the images."""
        return delta if self.pixels is None else tf.where(self.pixels, delta, 0.0)

    def sample(self, ball: balls.Ball, keys: tf.Tensor) -> tf.Tensor:
        """Uniform draws from a ball of the pixels that may change, int32 [examples, 2] -> float32 like the images."""
        shape = self.images.shape[1:]
        free = None if self.pixels is None else tf.broadcast_to(self.pixels, [1, *shape])[0]
        return ball.sample(keys, shape, free)

    def rounded(self, ball: balls.Ball | None = None) -> Self:
        """The problem of images that files hold: what the model sees is on the 8-bit grid, the clean images too.

        The backward pass goes straight through the rounding.

        Args:
          ball: what is seen also stays inside, around the clean image on the grid; None: of a minimal-norm attack.

        Example:
          >>> adversarial = attack.solve(Problem(model, images, labels, keys=keys).rounded(attack.ball))
        """
        return self.replace(images=grid.nearest(self.images), clean=None, on_grid=True, grid_ball=ball)

    def counted(self, queries: int) -> Self:
        """The problem with a query budget per example, one query of it for the clean image, which is asked first."""
        opened, meter = self.opened(), Meter()
        return opened.replace(meter=meter, rows=meter.start(opened.rows, queries - 1))

    def opened(self) -> Self:
        """The problem with the answers at the clean images."""
        if self.clean is not None:
            return self
        opened = self.replace(clean=self.answers(self.images))
        return opened if opened.whole else opened.replace(whole=opened)

    def open_rows(self) -> tf.Tensor:
        """int32: which examples are no success at the clean image. Of an opened problem."""
        return tf.cast(tf.where(~self._wanted(self.clean_predictions()))[:, 0], tf.int32)

    def attackable(self) -> tf.Tensor:
        """bool [examples]: for which there is something to reach. No goal is to be the true label."""
        return tf.ones_like(self.labels, tf.bool) if self.goals is None else self.goals != self.labels

    @property
    def clean_answers(self) -> tf.Tensor:
        """`clean`, of an opened problem."""
        if self.clean is None:
            raise ValueError("the answers at the clean images are known of an opened problem only")
        return self.clean

    def clean_predictions(self) -> tf.Tensor:
        """int32 [examples], of an opened problem."""
        return guard.predicted(self.clean_answers)

    def rivals(self, count: int) -> tf.Tensor:
        """int32 [examples, classes]: to which classes to lead, of an opened problem whose images are no success.

        The goal, if there is one; else the `count` likeliest wrong classes, or as many as the model has.
        """
        if self.goals is not None:
            return self.goals[:, None]
        # The likeliest class is the label.
        return tf.math.top_k(self.clean_answers, 1 + min(count, self.clean_answers.shape[1] - 1)).indices[:, 1:]

    # ---- questions ----

    def shown(self, x: tf.Tensor) -> tf.Tensor:
        """What the model sees of images x."""
        if self.pixels is not None:
            x = tf.where(self.pixels, x, self.images)
        if self.on_grid:
            x = grid.shown(x, self.images, self.grid_ball)
        return x

    def answers(self, x: tf.Tensor) -> tf.Tensor:
        """float32 logits [examples, classes], or int32 labels [examples] from a model that gives no more."""
        return self._traced(self._mean_answers(x), x)

    def _mean_answers(self, x):
        if self.samples == 1:
            return self._ask(x)

        def add(index, total):
            return index + 1, total + self._ask(x)

        first = self._ask(x)
        if not first.dtype.is_floating:
            raise InputError("the mean over draws of a random model needs its scores, but it gives labels")
        return tf.while_loop(lambda *_: True, add, (1, first), maximum_iterations=self.samples - 1)[1] / self.samples

    def logits(self, x: tf.Tensor) -> tf.Tensor:
        """float32 [examples, classes]."""
        answers = self.answers(x)
        if answers.shape.rank != 2:
            raise InputError("a score-based attack needs logits [batch, classes], but the model gives labels")
        return answers

    def predictions(self, x: tf.Tensor) -> tf.Tensor:
        """int32 [examples], -1 where a score is NaN; the model is not asked about no image."""
        asked = tf.cond(
            tf.shape(x)[0] > 0, lambda: guard.predicted(self.answers(x)), lambda: tf.zeros(tf.shape(x)[:1], tf.int32)
        )
        return tf.ensure_shape(asked, x.shape[:1])

    def succeeds(self, x: tf.Tensor) -> tf.Tensor:
        """bool [examples]: whether the model answers what the attacker wants. Needs its labels only."""
        return self._wanted(self.predictions(x))

    def margin(self, x: tf.Tensor) -> tf.Tensor:
        """float32 [examples]: `margin_of` the logits at x."""
        return self.margin_of(self.logits(x))

    def margin_of(self, answers: tf.Tensor) -> tf.Tensor:
        """float32 [examples]: by how much the answers are what the attacker wants, positive where they are.

        Of labels, 1 or -1. Minus infinity where a logit is NaN, as for every objective: NaN is no success and never the best
        so far.
        """
        if not answers.dtype.is_floating:
            return tf.where(self._wanted(answers), 1.0, -1.0)
        return self.value_of(objectives.margin, answers)

    def wanted(self, logits: tf.Tensor) -> tf.Tensor:
        """bool [examples]: whether the likeliest class is what the attacker wants."""
        return self._wanted(guard.predicted(logits))

    def value_of(self, objective: Objective, logits: tf.Tensor) -> tf.Tensor:
        """float32 [examples]: the objective for the labels or, with goals, its negative for these.

        The cross-entropy is computed as the log-odds of the label: it orders alike and has the same direction for each
        example, but the cross-entropy itself rounds to 0 from a margin of 17 on. Guarded, small logits are scaled up first
        (`guard.scale`).
        """
        if objective in (objectives.cross_entropy, objectives.log_odds):
            objective, logits = objectives.log_odds, logits * self._scale()
        value = objective(logits, self.labels) if self.goals is None else -objective(logits, self.goals)
        return guard.without_nan(value, logits)

    def value_and_gradient(self, objective: Objective, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`value_of` an objective at x, float32 [examples], and its gradient with respect to each image."""
        return self.ascend(lambda logits: self.value_of(objective, logits), x)[:2]

    def ascend(self, function: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor) -> Ascent:
        """A function of the logits, from [examples, classes] to [examples], at x: its value and gradient, and the logits.

        Of a random model, the mean of each over its draws. Where no gradient is defined, it is zero.
        """
        found = self._ascend(function, tf.convert_to_tensor(x))
        if self.trace is None:
            return found
        with tf.control_dependencies([self._record(self.trace, found.logits, x)]):
            return Ascent(*[tf.identity(part) for part in found])

    def _ascend(self, function, x):
        def draw():
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(x)
                logits = self._ask(x)
                value = function(logits)
            gradient = self._gradient(tape, value, x)
            return Ascent(value, guard.way_back(self.images, x, logits, gradient) if self.guarded else gradient, logits)

        if self.samples == 1:
            return draw()

        def add(*totals):
            return tuple(total + term for total, term in zip(totals, draw()))

        totals = tf.while_loop(lambda *_: True, add, tuple(draw()), maximum_iterations=self.samples - 1)
        return Ascent(*[total / self.samples for total in totals])

    def pullback(self, x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        """One forward pass, and a function that runs backward passes through it.

        Returns:
          (logits [examples, classes], pullback), where `pullback(weights [examples, classes])` is the gradient of
          `sum_k weights_k * logits_k` with respect to each image. Call it as often as needed: class gradients are
          `pullback(one_hot(k))`, a boundary's normal is `pullback(one_hot(k) - one_hot(label))`.
        """
        x = tf.convert_to_tensor(x)
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(x)
            logits = self.logits(x)

        def pullback(weights):
            return self._gradient(tape, logits, x, weights)

        return logits, pullback

    def sum_over_draws(
        self, function: Callable[[Self, tf.Tensor], list[tf.Tensor]], samples: int | tf.Tensor
    ) -> list[tf.Tensor]:
        """Sums of a function of random draws, at most the caller's batch of images at a time.

        Args:
          function: (problem, rows int32 [n]) -> a list of float32 [n, ...]: its values for n pairs of an example and a
            draw. The problem is that of the pairs, `keys` of the draw; rows are the pairs' examples in this problem.
          samples: draws for each example. Number i folds i into the example's seed.

        Returns:
          A list of float32 [examples, ...].
        """
        examples = tf.shape(self.labels)[0]
        block = tf.maximum(self.batch // tf.maximum(examples, 1), 1)

        def values(start):
            drawn = tf.range(start, tf.minimum(start + block, samples))
            rows = tf.repeat(tf.range(examples), tf.size(drawn))
            pairs = self.at(rows)
            terms = function(pairs.replace(keys=seeds.fold_in(pairs.keys, tf.tile(drawn, [examples]))), rows)
            shape = [examples, tf.size(drawn)]
            return [tf.reduce_sum(tf.reshape(t, tf.concat([shape, tf.shape(t)[1:]], axis=0)), axis=1) for t in terms]

        def add(start, totals):
            return start + block, [total + value for total, value in zip(totals, values(start))]

        first = (block, values(0))
        return tf.while_loop(lambda start, _: start < samples, add, first, maximum_iterations=samples)[1]

    # ---- the door ----

    def _traced(self, answers, x):
        """The answers, recorded before anyone uses them: in a graph nothing else keeps questions in their order."""
        if self.trace is None:
            return answers
        with tf.control_dependencies([self._record(self.trace, answers, x)]):
            return tf.identity(answers)

    def _record(self, trace, answers, x):
        answers, ball = tf.stop_gradient(answers), trace.ball
        margin = self.margin_of(answers)
        if ball is not None:
            margin = tf.where(ball.contains(x - self.images), margin, float("-inf"))
        return trace.record(self.rows, margin)

    def _scale(self):
        known = self.guarded and self.clean is not None and self.clean.shape.rank == 2
        return guard.scale(self.clean) if known else 1.0

    def _wanted(self, predicted):
        return (predicted != self.labels) & (predicted >= 0) if self.goals is None else predicted == self.goals

    def _gradient(self, tape, value, x, weights=None):
        """d value / dx; zero where the model has no path for it: rounding, `stop_gradient`, an operation without one."""
        try:
            gradient = tape.gradient(value, x, output_gradients=weights, unconnected_gradients="zero")
        except LookupError as error:
            if type(error) is not LookupError:  # a KeyError or IndexError is the model's own
                raise
            gradient = tf.zeros_like(x)
        return guard.finite(gradient) if self.guarded else gradient

    def _ask(self, x):
        """One draw of the answers: float32 logits, or int32 labels. What is over budget is not asked."""
        x = self.shown(x)
        if self.meter is None:
            return _as_answers(self.model(x))
        # An exhausted attack hears that whatever it tries is as hopeless as the clean image, so it keeps what it has.
        hopeless = self.clean_answers
        hopeless = hopeless * _CERTAIN if hopeless.dtype.is_floating else hopeless
        asked = tf.cast(tf.where(self.meter.take(self.rows))[:, 0], tf.int32)

        def ask():
            return tf.tensor_scatter_nd_update(hopeless, asked[:, None], _as_answers(self.model(tf.gather(x, asked))))

        return tf.cond(tf.size(asked) > 0, ask, lambda: hopeless)


def _as_answers(answers):
    """A model's answers, whatever their type, as float32 logits or int32 labels."""
    answers = tf.convert_to_tensor(answers)
    return tf.cast(answers, tf.int32 if answers.shape.rank == 1 else tf.float32)
