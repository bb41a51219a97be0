"""Attacks made of attacks: one after the other, several runs, toward a goal, on some pixels, on a random model, on a budget.

Each is itself an attack and may be wrapped again: `restarts(restricted(apgd(linf(8/255)), "pixels.npy"), 3)`. Most only
change the problem that the attack inside is given.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal

import tensorflow as tf

from tfrobust import balls, objectives, seeds
from tfrobust.attacks import active, fields
from tfrobust.attacks.attack import Access, Attack
from tfrobust.attacks.gradient.apgd import apgd, apgd_targeted
from tfrobust.attacks.gradient.fab import FAB
from tfrobust.attacks.problem import Problem
from tfrobust.attacks.score.square import Square
from tfrobust.errors import InputError

GOALS = ("least_likely", "random")


@dataclasses.dataclass(frozen=True)
class Cascade(Attack):
    """Attacks one after the other: each starts from the clean images of the examples that still stand.

    An example keeps the first image that is a success. The clean image is returned for those that stand at the end.

    Attributes:
      ball: what all attacks are confined to.
      attacks: a tuple of attacks.

    Memory: that of the attack that takes most, and of the images so far.

    Example:
      >>> ball = balls.Linf(8 / 255)
      >>> adversarial = Cascade(ball, (apgd(ball), Square(ball, queries=1000)))(logits_fn, images, labels, seed=0)
    """

    ball: fields.AnyBall = dataclasses.field()
    attacks: tuple[Attack, ...] = dataclasses.field()

    name = "cascade"

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "attacks", tuple(self.attacks))
        for attack in self.attacks:
            if not isinstance(attack, Attack):
                raise InputError(f"a cascade takes attacks such as apgd(linf(8/255)), got {attack!r}")
        if not self.attacks:
            raise InputError("a cascade takes at least one attack, such as apgd(linf(8/255))")

    @property
    def needs(self) -> Access:
        return max(attack.needs for attack in self.attacks)

    @property
    def takes_goals(self) -> bool:
        return self.targeted or any(attack.takes_goals for attack in self.attacks)

    def run(self, problem: Problem) -> tf.Tensor:
        rows, final = tf.range(tf.shape(problem.labels)[0]), problem.images
        for index, attack in enumerate(self.attacks):
            rows, final = self._next(attack, index, problem, rows, final)
            if problem.trace is not None:
                problem.trace.stage(str(attack), tf.gather(problem.rows, rows))
        return final

    def _next(self, attack, index, problem, rows, final):
        """What stands after one more attack, and the images so far."""

        def run():
            here = problem.at(rows)
            made = attack.solve(here.replace(keys=seeds.fold_in(here.keys, index)))
            broken = here.margin(made) > 0.0
            kept = tf.where(balls.per_example(broken, made), made, here.images)
            return tf.boolean_mask(rows, ~broken), tf.tensor_scatter_nd_update(final, rows[:, None], kept)

        return tf.cond(tf.size(rows) > 0, run, lambda: (rows, final))

    def variants(self) -> tuple[Callable[..., Attack], ...]:
        return (auto_attack,)


def auto_attack(ball: balls.Ball, *, version: Literal["standard", "plus", "fast", "rand"] = "standard") -> Attack:
    """AutoAttack (Croce and Hein, ICML 2020, "Reliable evaluation...", section 5). Nothing in it is tuned.

    With fewer than four classes the targeted DLR is not defined, with fewer than three the DLR: differences of two
    logits take their place.

    Args:
      ball: `Linf(radius)`, `L2(radius)` or `L1(radius)`.
      version: "standard": Auto-PGD on the cross-entropy, targeted Auto-PGD, targeted FAB (nine targets each), Square
        (5000 queries of a schedule for 10,000, as in the authors' code); in l1 Auto-PGD has five restarts, and five
        targets. "plus", five times as long: Auto-PGD on the cross-entropy and on the DLR, FAB and Square, then targeted
        Auto-PGD and FAB, five restarts where it is not targeted. "fast", a seventh of standard's passes on what resists, for
        verdicts that are nearly the same (docs/results.md), but not the standard attack, which is what papers report: a
        quarter of the steps, without a target and toward every class, then all of them for what 50 steps on the DLR come
        near to breaking (`Pruned`), and 300 queries; in l1 two restarts and four targets instead. "rand", for models that
        answer differently each time: Auto-PGD on the cross-entropy and on the DLR, with gradients and decisions over 20
        draws.

    Memory: that of `FAB`, 19 batches of images; for version "rand" that of `APGD`, whatever the draws.

    Example:
      >>> adversarial = auto_attack(balls.Linf(8 / 255))(logits_fn, images, labels, seed=0)
    """
    ball = fields.checked("auto_attack: ball", fields.NormBall, ball)
    square = Square(ball, schedule=10_000)
    if version == "standard":
        restarts, targets = (5, 5) if isinstance(ball, balls.L1) else (1, 9)
        ascents: Sequence[Attack] = (apgd(ball, restarts=restarts), apgd_targeted(ball, targets=targets))
        return Cascade(ball, (*ascents, FAB(ball, targets=9), square))
    if version == "plus":
        ascents = [
            apgd(ball, restarts=5, objective=aim) for aim in (objectives.cross_entropy, objectives.dlr_or_margin)
        ]
        return Cascade(ball, (*ascents, FAB(ball, restarts=5), square, apgd_targeted(ball), FAB(ball, targets=9)))
    if version == "fast":
        probe = apgd(ball, steps=50, objective=objectives.dlr_or_margin)
        ascents = apgd(ball, steps=25), apgd_targeted(ball, steps=25), Pruned(apgd_targeted(ball), probe)
        if isinstance(ball, balls.L1):  # whose sparse steps need all of their number
            ascents = apgd(ball, restarts=2), apgd_targeted(ball, targets=4)
        return Cascade(ball, (*ascents, Square(ball, queries=300)))
    if version == "rand":
        both = Cascade(ball, (apgd(ball), apgd(ball, objective=objectives.dlr_or_margin)))
        return Expectation(both, samples=20)
    raise InputError(f"auto_attack: version must be standard, plus, fast or rand; got {version!r}")


@dataclasses.dataclass(frozen=True)
class Wrapper(Attack):
    """An attack that runs another one. It needs, bounds and minimizes what that one does.

    Attributes:
      attack: the attack inside.
    """

    attack: Attack

    def __post_init__(self):
        if not isinstance(self.attack, Attack):
            raise InputError(f"{self.name} takes an attack first, such as pgd(linf(8/255)); got {self.attack!r}")
        super().__post_init__()

    @property
    def needs(self) -> Access:
        return self.attack.needs

    @property
    def ball(self) -> balls.Ball | None:
        return self.attack.ball

    @property
    def norm(self) -> type[balls.Ball] | None:
        return self.attack.norm

    @property
    def takes_goals(self) -> bool:
        return self.targeted or self.attack.takes_goals

    def aim(self, problem: Problem) -> Problem:
        return self.attack.aim(super().aim(problem))

    def run(self, problem: Problem) -> tf.Tensor:
        return self.attack.solve(problem)


@dataclasses.dataclass(frozen=True)
class Restarts(Wrapper):
    """Several runs with random draws of their own, each on what is no success yet.

    A bounded attack's first success is kept; of a minimal-norm attack, which runs on all images each time, the smallest.

    Attributes:
      attack: the attack inside.
      restarts: the number of runs.

    Memory: that of the attack inside, and of the best images so far.
    """

    restarts: fields.Count = 5

    name = "restarts"

    def run(self, problem: Problem) -> tf.Tensor:
        def run(index, here, state):
            best, size = state
            made = self.attack.solve(here.replace(keys=seeds.fold_in(here.keys, index)))
            found = self.norm.size(made - here.images) if self.norm else tf.zeros_like(size)
            better = here.succeeds(made) & (found < size)
            best = tf.where(balls.per_example(better, best), made, best)
            size = tf.where(better, found, size)
            return (best, size), best, size <= 0.0

        none = tf.fill(tf.shape(problem.labels), float("inf"))
        return active.loop(run, problem, (problem.images, none), problem.images, self.restarts)


@dataclasses.dataclass(frozen=True)
class Pruned(Wrapper):
    """An attack on those examples alone that a cheaper one comes near to breaking; the others are given up.

    Near is a difference of logits ratio (Croce and Hein, ICML 2020, eq. 6) of the cheaper attack's image that is less than
    `within` from 0; it does not depend on the scale of the logits. With two classes, for which it is not defined, all are near.

    Attributes:
      attack: the attack inside.
      probe: the cheaper attack, in the same ball, such as a short `apgd(ball, objective=dlr)`.
      within: how near, a share of the ratio's range.

    Memory: that of the attack that takes more.

    Example:
      >>> attack = Pruned(apgd_targeted(ball), apgd(ball, steps=50, objective=objectives.dlr_or_margin))
    """

    probe: Attack
    within: fields.Share = 0.15

    name = "pruned"

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.probe, Attack) or self.probe.ball != self.ball:
            raise InputError(f"pruned: probe must be an attack in the same ball, {self.ball}; got {self.probe}")

    @property
    def needs(self) -> Access:
        return max(self.attack.needs, self.probe.needs)

    def run(self, problem: Problem) -> tf.Tensor:
        made = self.probe.solve(problem)
        logits = problem.logits(made)
        near = problem.value_of(objectives.dlr_or_margin, logits) > -self.within
        if logits.shape[1] < 3:
            near = tf.ones_like(near)
        rows = tf.cast(tf.where(near & ~problem.wanted(logits))[:, 0], tf.int32)

        def attack():
            here = problem.at(rows)
            found = self.attack.solve(here.replace(keys=seeds.fold_in(here.keys, 1)))
            kept = tf.where(balls.per_example(here.succeeds(found), found), found, tf.gather(made, rows))
            return tf.tensor_scatter_nd_update(made, rows[:, None], kept)

        return tf.cond(tf.size(rows) > 0, attack, lambda: made)


@dataclasses.dataclass(frozen=True)
class Targeted(Wrapper):
    """An attack that wants a certain answer.

    Images that have it already come back unchanged, and so do those whose true label it is (`goals_of`). Of two wrappers
    of this kind the outer one decides.

    Attributes:
      attack: the attack inside.
      goal: a class, or "least_likely" on the clean image or "random", both among the wrong ones.

    Raises:
      InputError: when called on a model that has no such class.

    Memory: that of the attack inside.
    """

    goal: int | str = "random"

    name = "targeted"

    def __post_init__(self):
        super().__post_init__()
        if self.goal not in GOALS:
            what = f"targeted: goal, unless it is one of {', '.join(GOALS)},"
            object.__setattr__(self, "goal", fields.checked(what, fields.Whole, self.goal))

    @property
    def takes_goals(self) -> bool:
        return False

    def aim(self, problem: Problem) -> Problem:
        if problem.goals is not None:
            return problem
        problem = problem.opened()
        return problem.toward(self.goals(problem))

    def goals(self, problem: Problem) -> tf.Tensor:
        """The wanted answers, of an opened problem: int32 [examples]."""
        clean = problem.clean_answers
        scores = clean.shape.rank == 2
        if self.goal not in GOALS:
            if scores and clean.shape[1] is not None and self.goal >= clean.shape[1]:
                raise InputError(f"targeted: goal {self.goal} is no class of a model with {clean.shape[1]}")
            return tf.fill(tf.shape(problem.labels), self.goal)
        if not scores:
            raise InputError(
                f"targeted: goal {self.goal!r} needs the model's scores, but it gives labels: name a class"
            )
        if self.goal == "least_likely":
            # Turned over, so that the label comes last.
            return tf.argmax(objectives.without(-clean, problem.labels), axis=1, output_type=tf.int32)
        classes = tf.shape(clean)[1]
        shift = 1 + seeds.integers(seeds.fold_in(problem.keys, -1), [], classes - 1)
        return (problem.labels + shift) % classes


@dataclasses.dataclass(frozen=True)
class Restricted(Wrapper):
    """Any attack, confined to a set of pixels: it attacks images + pixels * (x - images).

    Attributes:
      attack: the attack inside.
      pixels: what may change, bool [height, width], or the path of an .npy file that holds it.

    Memory: that of the attack inside, and of the images that are shown.

    Example:
      >>> left_half = np.arange(28)[None] < 14 & np.ones([28, 28], bool)
      >>> adversarial = Restricted(pgd(balls.Linf(0.3)), left_half)(logits_fn, images, labels, seed=0)
    """

    pixels: fields.Mask

    name = "restricted"

    def pose(self, problem: Problem) -> Problem:
        expected, found = tuple(problem.images.shape[1:3]), self.pixels.values.shape
        if found != expected:
            raise InputError(f"pixels are {found}, but the images {expected}")
        return super().pose(problem).confined(self.pixels.values[None, :, :, None])


@dataclasses.dataclass(frozen=True)
class Expectation(Wrapper):
    """An attack on a model that answers differently each time: it follows the mean over several draws.

    Gradients are the mean of the draws' gradients (Athalye et al., ICML 2018, section 4.2), decisions those of the mean
    logits. The model draws its own randomness.

    Attributes:
      attack: the attack inside.
      samples: draws for each gradient and each decision.

    Memory: that of the attack inside, whatever `samples`: draws are one after the other.
    """

    samples: fields.Count = 20

    name = "expectation"

    def pose(self, problem: Problem) -> Problem:
        return super().pose(problem).averaged(self.samples)

    def variants(self) -> tuple[Callable[..., Attack], ...]:
        return (auto_attack,)


@dataclasses.dataclass(frozen=True)
class Budget(Wrapper):
    """A black-box attack with a query budget per example.

    When nothing is left, the attack hears that whatever it tries is as hopeless as the clean image; so it keeps the best
    that it has.

    Attributes:
      attack: the attack inside.
      queries: per example, one of them for the clean image before the attack begins.

    Memory: that of the attack inside, and of the images that are asked about.

    Example:
      >>> attack = Budget(Square(balls.Linf(8 / 255)), queries=1000)
      >>> adversarial = attack(lambda images: my_python_classifier(images.numpy()), images, labels, seed=0)
    """

    queries: fields.Count = 1000

    name = "budget"

    def __post_init__(self):
        super().__post_init__()
        if self.needs is Access.WHITE_BOX:
            raise InputError("a query budget is for black-box attacks, such as square(linf(8/255))")

    def pose(self, problem: Problem) -> Problem:
        return super().pose(problem).counted(self.queries)
