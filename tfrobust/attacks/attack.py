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

    Attributes:
      ball: what perturbations are confined to; None for a minimal-norm attack.
      norm: what is made small; None for a bounded attack.
      targeted: `labels` are the answers that the attacker wants, instead of the true labels.
    """

    targeted: fields.Flag = dataclasses.field(default=False, kw_only=True)

    name: ClassVar[str]
    needs: ClassVar[Access]
    ball: ClassVar[balls.Ball | None] = None
    norm: ClassVar[type[balls.Ball] | None] = None
    reports_rho_2: ClassVar[bool] = False  # whether its paper measures robustness by its perturbations' relative size

    def __post_init__(self):
        fields.check(self, self.name)

    @typing.final
    def __call__(self, logits_fn: LogitsFn, images, labels, *, seed) -> tf.Tensor:
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
        problem = self.pose(problem.replace(finite=True)).opened()
        rows = problem.open_rows()

        def attack():
            here = problem.at(rows)
            return tf.tensor_scatter_nd_update(problem.images, rows[:, None], here.shown(self.run(here)))

        return tf.cond(tf.size(rows) > 0, attack, lambda: problem.images)

    def pose(self, problem: Problem) -> Problem:
        """The problem as this attack sees it; what a wrapper changes of it."""
        if not self.targeted or problem.goals is not None:
            return problem
        goals, problem = problem.labels, problem.opened()
        return problem.replace(labels=problem.clean_predictions()).toward(goals)

    @abc.abstractmethod
    def run(self, problem: Problem) -> tf.Tensor:
        """The algorithm, on all examples of a problem, of which there is at least one: float32 images."""

    def variants(self) -> tuple[Callable[..., "Attack"], ...]:
        """Functions that return configured attacks of this class, under which it prints where one fits."""
        return ()

    def __str__(self):
        """The text from which `spec.parse` makes an equal attack."""
        texts = [_call_text(self.name, type(self), self), *(_call_text(v.__name__, v, self) for v in self.variants())]
        return min(filter(None, texts), key=len)


def _call_text(name, make, attack: Attack) -> str | None:
    """The shortest call of `make` that returns `attack`, or None if there is none."""
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
        positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        words = [("" if key in positional else f"{key}=") + text_of(value) for key, value in given.items()]
        return f"{name}({', '.join(words)})"
    return None


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
