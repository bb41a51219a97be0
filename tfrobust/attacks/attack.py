"""What every attack is: a frozen value whose call is a pure function of a model, images and labels.

    attack(logits_fn, images, labels, seed=0) -> adversarial images

The call does what all attacks begin with, once: float32 images, int32 labels, a seed for each example, the model's
answers at the clean images, and examples that are a success already come back unchanged. What is left goes to the
algorithm's own method, `run`. No `tf.function` inside: compile the outermost caller once.
"""

import abc
import dataclasses
import enum
import inspect
import itertools
import typing
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import tensorflow as tf

from tfrobust import balls, seeds
from tfrobust.attacks import fields
from tfrobust.attacks.problem import LogitsFn, Problem
from tfrobust.errors import InputError


class Access(enum.IntEnum):
    """What an attacker gets from a model, and an attack needs; each includes those below it."""

    DECISION_BASED = 1  # the predicted labels
    SCORE_BASED = 2  # the logits
    WHITE_BOX = 3  # the logits and their gradients

    def __str__(self):
        return self.name.lower().replace("_", "-")


@dataclasses.dataclass(frozen=True)
class Attack(abc.ABC):
    """The abstract attack.

    A subclass is a frozen dataclass: `ball` or `norm` first, then keyword-only options, whose annotations (`fields`)
    say what they may be. It states `name`, as in the table of `spec`, `needs`, and `run`. (`ball: ... = field()`, since
    a field that only is annotated would take the None below for its default.)

    The line "Memory" of each attack's docstring says what it holds beside the network's activations, measured by
    benchmarks/memory.py: a batch of images is batch * height * width * channels * 4 bytes.

    Attributes:
      ball: what perturbations are confined to; None for a minimal-norm attack, and for one with limits that no norm
        measures, such as rotations.
      norm: what is made small; None for a bounded attack.
      targeted: `labels` are the answers that the attacker wants, instead of the true labels.
    """

    targeted: fields.Flag = dataclasses.field(default=False, kw_only=True)

    name: ClassVar[str]
    if typing.TYPE_CHECKING:  # to be read only: of a class, a field or a property, as a subclass has it

        @property
        def needs(self) -> Access: ...
        @property
        def ball(self) -> balls.Ball | None: ...
        @property
        def norm(self) -> type[balls.Ball] | None: ...
    else:
        ball = norm = None

    @property
    def reports_rho_2(self) -> bool:
        """Whether its paper measures robustness by its perturbations' relative size."""
        return False

    def __post_init__(self):
        fields.check(self, self.name)

    @typing.final
    def __call__(
        self,
        logits_fn: LogitsFn,
        images: np.ndarray | tf.Tensor,
        labels: np.ndarray | tf.Tensor,
        *,
        seed: int | tf.Tensor,
    ) -> tf.Tensor:
        """Attacks a batch.

        Args:
          logits_fn: images -> logits [batch, classes] or, for a decision-based attack, labels [batch]. Any Python
            function, if called eagerly and the attack needs no gradients.
          images: [batch, height, width, channels] in [0, 1].
          labels: int [batch], the true labels; the wanted ones if the attack is targeted.
          seed: an int, or per-example seeds int32 [batch, 2] from `seeds.per_example`.

        Returns:
          float32 images of the same shape, inside [0, 1] and the attack's ball; the clean image where it is a success
          already, and where a minimal-norm attack finds nothing.
        """
        return self.solve(Problem(logits_fn, images, labels, keys=seeds.resolve(seed, images)))

    @typing.final
    def solve(self, problem: Problem) -> tf.Tensor:
        """Attacks the examples of a problem that are no success yet: float32 images of all of them."""
        problem = self.posed(problem.replace(guarded=True))
        rows = problem.open_rows()
        rows = tf.boolean_mask(rows, tf.gather(problem.attackable(), rows))

        def attack():
            here = problem.at(rows)
            return tf.tensor_scatter_nd_update(problem.images, rows[:, None], here.shown(self.run(here)))

        return tf.cond(tf.size(rows) > 0, attack, lambda: problem.images)

    @typing.final
    def posed(self, problem: Problem) -> Problem:
        """The problem that `run` is given the open rows of, with the answers at the clean images."""
        return self.aim(self.pose(problem)).opened()

    def pose(self, problem: Problem) -> Problem:
        """The problem as this attack sees it; what a wrapper changes of it."""
        return problem

    def aim(self, problem: Problem) -> Problem:
        """The problem with the goals of this attack, if it has some; goals that the problem has already stay."""
        if not self.targeted or problem.goals is not None:
            return problem
        goals, problem = problem.labels, problem.opened()
        return problem.replace(labels=tf.maximum(problem.clean_predictions(), 0)).toward(goals)

    @typing.final
    def goals_of(self, problem: Problem) -> tf.Tensor | None:
        """The answers that this attack wants: int32 [examples], or None for any wrong one.

        Where a goal is the true label there is nothing to attack: the image comes back unchanged and says nothing about
        the model. The model is asked only if the goals depend on it and `problem.clean` is None.

        Example:
          >>> problem = Problem(model, images, labels, keys=keys, clean=logits)
          >>> goals = Targeted(pgd(balls.Linf(0.1)), "least_likely").goals_of(problem)
          >>> attackable = goals != labels
        """
        return self.aim(problem).goals

    @property
    def takes_goals(self) -> bool:
        """Whether `labels` are the answers that the attacker wants: true labels make no sense for it."""
        return self.targeted

    @abc.abstractmethod
    def run(self, problem: Problem) -> tf.Tensor:
        """The algorithm, on all examples of a problem, of which there is at least one: float32 images."""

    @property
    def bounded(self) -> bool:
        """Whether the attack's own limits are a threat model: what withstands it is robust. Not of a minimal-norm attack."""
        return self.ball is not None or self.norm is None

    def variants(self) -> tuple[Callable[..., "Attack"], ...]:
        """Functions that return configured attacks of this class, under which it prints where one fits."""
        return ()

    @typing.final
    def family(self) -> tuple:
        """A hashable value, equal for attacks that differ in the radii of their balls only, also of those inside.

        What follows from a radius may differ with it, such as the step size of `fgsm` or `bim`, unless it was given.

        Example:
          >>> parse("bim(linf(0.1))").family() == parse("bim(linf(0.2))").family()
          True
        """
        name, _, given = self._call()
        return name, *sorted((key, _family(value)) for key, value in given.items())

    @typing.final
    def at_radius(self, radius: float) -> "Attack":
        """The attack of the same family whose balls, also those inside, have another radius.

        Example:
          >>> parse("bim(linf(0.1))").at_radius(0.2) == parse("bim(linf(0.2))")
          True
        """
        _, make, given = self._call()
        return make(**{key: _resized(value, radius) for key, value in given.items()})

    def _call(self):
        """The shortest call that makes this attack: its name, the function and what is given."""
        makes = [(self.name, type(self)), *((make.__name__, make) for make in self.variants())]
        calls = [(name, make, _arguments(make, self)) for name, make in makes]
        return min((call for call in calls if call[2] is not None), key=lambda call: len(_text(*call)))

    def __str__(self):
        """The text from which `spec.parse` makes an equal attack."""
        return _text(*self._call())


def _family(value):
    """Part of `Attack.family`."""
    if isinstance(value, balls.Ball):
        return "ball", type(value)
    if isinstance(value, Attack):
        return value.family()
    return tuple(map(_family, value)) if isinstance(value, tuple) else value


def _resized(value, radius):
    """Part of `Attack.at_radius`."""
    if isinstance(value, balls.Ball):
        return type(value)(radius)
    if isinstance(value, Attack):
        return value.at_radius(radius)
    return tuple(_resized(part, radius) for part in value) if isinstance(value, tuple) else value


def _arguments(make, attack: Attack) -> dict | None:
    """Of the shortest call of `make` that returns `attack`, or None if there is none."""
    parameters = inspect.signature(make).parameters.values()
    own = {"ball": attack.ball, **vars(attack)}
    choices = [[own[p.name]] if p.name in own else typing.get_args(p.annotation) or [p.default] for p in parameters]
    for values in itertools.product(*choices):
        given = dict(zip((p.name for p in parameters), values))
        if not _makes(make, given, attack):
            continue
        for parameter in parameters:
            fewer = {key: value for key, value in given.items() if key != parameter.name}
            given = fewer if _makes(make, fewer, attack) else given
        return given
    return None


def _text(name, make, given) -> str:
    positional = [p.name for p in inspect.signature(make).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    words = [("" if key in positional else f"{key}=") + text_of(value) for key, value in given.items()]
    return f"{name}({', '.join(words)})"


def _makes(make, arguments, attack):
    try:
        return make(**arguments) == attack
    except (InputError, TypeError):
        return False


def text_of(value) -> str:
    """An argument of an attack, as `spec.parse` reads it."""
    if isinstance(value, type):
        return value.__name__.lower()
    if isinstance(value, tuple):
        return f"({', '.join(map(text_of, value))}{',' * (len(value) == 1)})"
    if isinstance(value, float):
        return balls.number_text(value)
    if inspect.isfunction(value):
        return value.__name__
    return str(value) if isinstance(value, (Attack, balls.Ball)) else repr(value)
