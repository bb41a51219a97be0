"""Projected gradient ascent inside a ball, and the attacks that are special cases of it.

    delta <- project(delta + step_size * steepest(gradient))        then clip images + delta to [0, 1]

Madry et al., ICLR 2018, section 2.1. FGSM: Goodfellow et al., ICLR 2015. BIM: Kurakin et al., ICLR 2017 workshop,
section 2.2. MI-FGSM: Dong et al., CVPR 2018, algorithm 1.
"""

import dataclasses

import tensorflow as tf

from tfrobust import balls, objectives, seeds
from tfrobust.attacks import fields
from tfrobust.attacks.attack import Access, Attack
from tfrobust.attacks.steps import Momentum, Optimizer, Steepest
from tfrobust.errors import InputError
from tfrobust.objectives import Objective


@dataclasses.dataclass(frozen=True)
class PGD(Attack):
    """Ascent on an objective inside a ball.

    With one run the last iterate is returned, as the paper does. With `restarts` > 1, each example keeps the run
    that ends with the largest margin, which is a success if any run is one.

    Attributes:
      ball: the allowed perturbations, `Linf(radius)` or `L2(radius)`.
      steps: gradient evaluations per run.
      step_size: length of a step in the ball's norm; None: 2.5 * radius / steps (Madry et al.), radius at most.
      random_start: start from a uniform draw of the ball, else from the clean image.
      restarts: independent runs.
      objective: what is maximized, from `objectives`.
      optimizer: how a gradient becomes a step, from `steps`.

    Example:
      >>> attack = PGD(balls.Linf(8 / 255), steps=40)
      >>> adversarial = attack(logits_fn, images, labels, seed=0)
    """

    ball: fields.SmoothBall = dataclasses.field()
    _: dataclasses.KW_ONLY
    steps: fields.Count = 10
    step_size: fields.Positive | None = None
    random_start: fields.Flag = True
    restarts: fields.Count = 1
    objective: fields.Maximized = objectives.cross_entropy
    optimizer: Optimizer = dataclasses.field(default=Steepest())

    name = "pgd"
    needs = Access.WHITE_BOX

    def __post_init__(self):
        super().__post_init__()
        if self.restarts > 1 and not self.random_start:
            raise InputError("restarts need random_start=True: without it every run is the same")

    def run(self, problem):
        if not self.random_start:
            return self._run(problem, tf.zeros_like(problem.images))

        def run(index):
            start = self.ball.sample(seeds.fold_in(problem.keys, index), problem.images.shape[1:])
            return self._run(problem, start)

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

    def _run(self, problem, delta):
        images = problem.images
        step_size = self.step_size or min(2.5 / self.steps, 1.0) * self.ball.radius

        def inside(delta):
            return tf.clip_by_value(images + self.ball.project(delta), 0.0, 1.0)

        def ascend(count, x, state):
            _, gradient = problem.value_and_gradient(self.objective, x)
            direction, state = self.optimizer.direction(type(self.ball), count, gradient, state)
            return count + 1, inside(x + step_size * direction - images), state

        loop = (tf.constant(0), inside(delta), self.optimizer.start(images))
        return tf.while_loop(lambda *_: True, ascend, loop, maximum_iterations=self.steps)[1]

    def variants(self):
        return fgsm, bim, mi_fgsm


pgd = PGD


def fgsm(ball: balls.Ball, *, objective: Objective = objectives.cross_entropy) -> PGD:
    """One step of the ball's radius from the clean image (Goodfellow et al., ICLR 2015, section 4).

    In linf this is the fast gradient sign method, in l2 the fast gradient method.
    """
    return _from_the_image(ball, 1, None, objective=objective)


def bim(
    ball: balls.Ball,
    *,
    steps: int = 10,
    step_size: float | None = None,
    objective: Objective = objectives.cross_entropy,
) -> PGD:
    """The basic iterative method: PGD from the clean image, by default in steps of radius / steps (Kurakin et al.)."""
    return _from_the_image(ball, steps, step_size, objective=objective)


def mi_fgsm(
    ball: balls.Ball,
    *,
    steps: int = 10,
    step_size: float | None = None,
    momentum: float = 1.0,
    objective: Objective = objectives.cross_entropy,
) -> PGD:
    """Momentum iterative FGSM: each gradient is divided by its l1 norm, then added to the decayed sum (Dong et al.)."""
    return _from_the_image(ball, steps, step_size, objective=objective, optimizer=Momentum(momentum))


def _from_the_image(ball, steps, step_size, **options):
    attack = PGD(ball, steps=steps, step_size=step_size, random_start=False, **options)  # has checked ball and steps
    return attack if step_size else dataclasses.replace(attack, step_size=attack.ball.radius / attack.steps or None)
