"""Projected gradient ascent inside a ball, and the attacks that are special cases of it.

    delta <- project(delta + step_size * steepest(gradient))        then clip images + delta to [0, 1]

Madry et al., ICLR 2018, section 2.1. In l1, SLIDE: Tramèr and Boneh, NeurIPS 2019, algorithm 1. FGSM: Goodfellow et al., ICLR 2015. BIM: Kurakin et al., ICLR 2017 workshop,
section 2.2. MI-FGSM: Dong et al., CVPR 2018, algorithm 1.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal, NamedTuple

import tensorflow as tf

from tfrobust import balls, objectives, seeds
from tfrobust.attacks import fields
from tfrobust.attacks.attack import Access, Attack
from tfrobust.attacks.problem import Problem
from tfrobust.attacks.steps import Momentum, Optimizer, Steepest, unheld
from tfrobust.errors import InputError
from tfrobust.objectives import Objective


class _Best(NamedTuple):
    """The iterate of the largest margin so far, of those that are a success, whose margin is positive."""

    images: tf.Tensor
    margin: tf.Tensor  # [examples]

    def better(self, images, margin):
        """The better of this and other images."""
        better = balls.per_example(margin > self.margin, images)
        return _Best(tf.where(better, images, self.images), tf.maximum(margin, self.margin))


@dataclasses.dataclass(frozen=True)
class PGD(Attack):
    """Ascent on an objective inside a ball.

    Of the iterates at which a gradient was taken, the one with the largest margin is returned if it is a success, else
    the last iterate, which nobody was asked about. With `restarts` > 1, each example keeps the run whose result has the
    largest margin, which is a success if any run is one.

    Attributes:
      ball: the allowed perturbations, `Linf(radius)`, `L2(radius)` or `L1(radius)`.
      steps: gradient evaluations per run.
      step_size: length of a step in the ball's norm; None: 2.5 * radius / steps (Madry et al.), radius at most.
      random_start: start from a uniform draw of the ball, else from the clean image.
      restarts: independent runs.
      objective: what is maximized, from `objectives`.
      optimizer: how a gradient becomes a step, from `steps`.
      keep: "best" as said above, or "last": the last iterate, as in the papers, even where an earlier one was a success
        (Pintor et al., NeurIPS 2022, "Indicators of attack failure", call that a silent success).

    Memory: 6 batches of images, 8 with momentum, 10 with Adam and 15 in l1; restarts run one after the other.

    Example:
      >>> attack = PGD(balls.Linf(8 / 255), steps=40)
      >>> adversarial = attack(logits_fn, images, labels, seed=0)
    """

    ball: fields.NormBall = dataclasses.field()
    _: dataclasses.KW_ONLY
    steps: fields.Count = 10
    step_size: fields.Positive | None = None
    random_start: fields.Flag = True
    restarts: fields.Count = 1
    objective: fields.Maximized = objectives.cross_entropy
    optimizer: Optimizer = dataclasses.field(default=Steepest())
    keep: fields.Kept = "best"

    name = "pgd"
    needs = Access.WHITE_BOX

    def __post_init__(self):
        super().__post_init__()
        if self.restarts > 1 and not self.random_start:
            raise InputError("restarts need random_start=True: without it every run is the same")

    def run(self, problem: Problem) -> tf.Tensor:
        if not self.random_start:
            return self.run_from(problem, problem.images)

        def run(index):
            delta = problem.sample(self.ball, seeds.fold_in(problem.keys, index))
            return self.run_from(problem, self._inside(problem, problem.images + delta))

        if self.restarts == 1:
            return run(0)

        def another(index, best, best_margin):
            candidate = run(index)
            margin = problem.margin(candidate)
            better = balls.per_example(margin > best_margin, best)
            return index + 1, tf.where(better, candidate, best), tf.maximum(margin, best_margin)

        none_yet = tf.fill(tf.shape(problem.labels), float("-inf"))
        return tf.while_loop(lambda *_: True, another, (0, problem.images, none_yet), maximum_iterations=self.restarts)[
            1
        ]

    def _inside(self, problem, x):
        return self.ball.nearest_image(x, problem.images, self.ball.radius)

    def run_from(self, problem: Problem, start: tf.Tensor) -> tf.Tensor:
        """One run from given images, like those of the problem: float32 images of all its examples."""
        images = problem.images
        step_size = self.step_size or min(2.5 / self.steps, 1.0) * self.ball.radius

        def ascend(count, x, state, best):
            _, gradient, logits = problem.ascend(lambda logits: problem.value_of(self.objective, logits), x)
            if isinstance(self.ball, balls.L1):
                gradient = unheld(gradient, x)
            direction, state = self.optimizer.direction(type(self.ball), count, gradient, state)
            moved = self._inside(problem, x + step_size * direction)
            return count + 1, moved, state, best.better(x, problem.margin_of(logits)) if best else ()

        # What is a success to begin with, as in training, goes to the last iterate.
        least = tf.where(problem.wanted(problem.clean), float("inf"), 0.0)
        best = _Best(images, least) if self.keep == "best" else ()
        loop = (tf.constant(0), start, self.optimizer.start(images), best)
        _, last, _, best = tf.while_loop(lambda *_: True, ascend, loop, maximum_iterations=self.steps)
        return tf.where(balls.per_example(best.margin > least, last), best.images, last) if best else last

    def variants(self) -> tuple[Callable[..., Attack], ...]:
        return fgsm, bim, mi_fgsm


pgd = PGD


def fgsm(ball: balls.Ball, *, objective: Objective = objectives.cross_entropy) -> PGD:
    """One step of the ball's radius from the clean image (Goodfellow et al., ICLR 2015, section 4).

    In linf this is the fast gradient sign method, in l2 the fast gradient method.

    Memory: that of `PGD`, 6 batches of images.
    """
    return _from_the_image(ball, 1, None, objective=objective)


def bim(
    ball: balls.Ball,
    *,
    steps: int = 10,
    step_size: float | None = None,
    objective: Objective = objectives.cross_entropy,
    keep: Literal["best", "last"] = "best",
) -> PGD:
    """The basic iterative method: PGD from the clean image, by default in steps of radius / steps (Kurakin et al.).

    Memory: that of `PGD`, 6 batches of images.
    """
    return _from_the_image(ball, steps, step_size, objective=objective, keep=keep)


def mi_fgsm(
    ball: balls.Ball,
    *,
    steps: int = 10,
    step_size: float | None = None,
    momentum: float = 1.0,
    objective: Objective = objectives.cross_entropy,
    keep: Literal["best", "last"] = "best",
) -> PGD:
    """Momentum iterative FGSM: each gradient is divided by its l1 norm, then added to the decayed sum (Dong et al.).

    Memory: that of `PGD` with momentum, 8 batches of images.
    """
    return _from_the_image(ball, steps, step_size, objective=objective, optimizer=Momentum(momentum), keep=keep)


def _from_the_image(ball, steps, step_size, **options):
    attack = PGD(ball, steps=steps, step_size=step_size, random_start=False, **options)  # has checked ball and steps
    return attack if step_size else dataclasses.replace(attack, step_size=attack.ball.radius / attack.steps or None)
