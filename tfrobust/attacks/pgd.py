"""Projected gradient ascent inside a ball, and the attacks that are special cases of it.

    delta <- project(delta + step_size * steepest(gradient))        then clip images + delta to [0, 1]

Madry et al., ICLR 2018, section 2.1. FGSM: Goodfellow et al., ICLR 2015. BIM: Kurakin et al., ICLR 2017 workshop,
section 2.2. MI-FGSM: Dong et al., CVPR 2018, algorithm 1.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from tfrobust import balls, gradients, objectives, seeds
from tfrobust.errors import InputError


@dataclasses.dataclass(frozen=True)
class PGD:
    """Steepest ascent on an objective inside a ball.

    With one run the last iterate is returned, as the paper does. With `restarts` > 1, each example keeps the run
    that ends with the largest margin, which is a success if any run is one.

    Attributes:
      ball: the allowed perturbations, `Linf(radius)` or `L2(radius)`.
      steps: gradient evaluations per run.
      step_size: length of a step in the ball's norm; None: 2.5 * radius / steps (Madry et al.), radius at most.
      random_start: start from a uniform draw of the ball, else from the clean image.
      restarts: independent runs.
      momentum: decay of the accumulated gradient (MI-FGSM's mu); 0 is plain PGD.
      objective: what is maximised, from `objectives`.
      targeted: `labels` are the answers that the attacker wants.

    Example:
      >>> attack = PGD(balls.Linf(8 / 255), steps=40)
      >>> adversarial = attack(logits_fn, images, labels, seed=0)
    """

    ball: balls.Ball
    steps: int = 10
    step_size: float | None = None
    random_start: bool = True
    restarts: int = 1
    momentum: float = 0.0
    objective: Callable = objectives.cross_entropy
    targeted: bool = False

    needs = "gradients"

    def __post_init__(self):
        _radius(self.ball)
        for name in ("steps", "restarts"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise InputError(f"{name} must be a whole number of at least 1, got {value!r}")
        if self.step_size is not None and not 0 < self.step_size < float("inf"):
            raise InputError(f"step_size must be a positive number, got {self.step_size!r}")
        if not callable(self.objective) or isinstance(self.objective, type):
            raise InputError(f"objective must be cross_entropy, margin or dlr, got {self.objective!r}")
        if not self.momentum >= 0:
            raise InputError(f"momentum must be at least 0, got {self.momentum!r}")
        if self.restarts > 1 and not self.random_start:
            raise InputError("restarts need random_start=True: without it every run is the same")

    def __call__(self, logits_fn, images, labels, *, seed):
        """Attacks a batch.

        Args:
          logits_fn: images -> logits [batch, classes].
          images: float32 [batch, height, width, channels] in [0, 1].
          labels: int [batch], the true labels, or the wanted ones if it is targeted.
          seed: an int, or per-example seeds int32 [batch, 2] from `seeds.per_example`.

        Returns:
          float32 images of the same shape, inside the ball and inside [0, 1].
        """
        if not self.random_start:
            return self._run(logits_fn, images, labels, tf.zeros_like(images))
        keys = seeds.resolve(seed, images)

        def run(index):
            start = self.ball.sample(seeds.fold_in(keys, index), images.shape[1:])
            return self._run(logits_fn, images, labels, start)

        if self.restarts == 1:
            return run(0)

        def another(index, best, best_margin):
            candidate = run(index)
            margin = self._aim(objectives.margin)(logits_fn(candidate), labels)
            better = margin > best_margin
            best = tf.where(balls.per_example(better, best), candidate, best)
            return index + 1, best, tf.maximum(margin, best_margin)

        none_yet = tf.fill(tf.shape(images)[:1], float("-inf"))
        loop = (0, images, none_yet)
        return tf.while_loop(lambda *_: True, another, loop, maximum_iterations=self.restarts)[1]

    def _aim(self, objective):
        """The objective as it is maximised: its negative, if this is targeted."""
        return objectives.targeted(objective) if self.targeted else objective

    def _run(self, logits_fn, images, labels, delta):
        step_size = self.step_size or min(2.5 / self.steps, 1.0) * self.ball.radius

        def inside(delta):
            return tf.clip_by_value(images + self.ball.project(delta), 0.0, 1.0)

        def ascend(adversarial, accumulated):
            _, gradient = gradients.value_and_gradient(self._aim(self.objective), logits_fn, adversarial, labels)
            if self.momentum:
                accumulated = self.momentum * accumulated + gradient / balls.per_example(
                    tf.maximum(balls.L1.size(gradient), 1e-12), gradient
                )
                gradient = accumulated
            return inside(adversarial + step_size * self.ball.steepest(gradient) - images), accumulated

        state = (inside(delta), tf.zeros_like(images) if self.momentum else ())
        return tf.while_loop(lambda *_: True, ascend, state, maximum_iterations=self.steps)[0]


def pgd(ball, steps=10, step_size=None, random_start=True, restarts=1, objective=objectives.cross_entropy):
    """Projected gradient descent with a random start (Madry et al., ICLR 2018)."""
    return PGD(ball, steps, step_size, random_start, restarts, objective=objective)


def fgsm(ball, objective=objectives.cross_entropy):
    """One step of the ball's radius from the clean image (Goodfellow et al., ICLR 2015, section 4).

    In linf this is the fast gradient sign method, in l2 the fast gradient method.
    """
    return PGD(ball, steps=1, step_size=_radius(ball) or None, random_start=False, objective=objective)


def bim(ball, steps=10, step_size=None, objective=objectives.cross_entropy):
    """The basic iterative method: PGD from the clean image, by default in steps of radius / steps (Kurakin et al.)."""
    step_size = step_size or _radius(ball) / steps or None
    return PGD(ball, steps, step_size, random_start=False, objective=objective)


def mi_fgsm(ball, steps=10, step_size=None, momentum=1.0, objective=objectives.cross_entropy):
    """Momentum iterative FGSM: each gradient is divided by its l1 norm, then added to the decayed sum (Dong et al.)."""
    step_size = step_size or _radius(ball) / steps or None
    return PGD(ball, steps, step_size, random_start=False, momentum=momentum, objective=objective)


def _radius(ball):
    if not isinstance(ball, (balls.Linf, balls.L2)):  # steepest ascent in l1 moves one value a step: too weak to report
        raise InputError(f"this attack needs a linf or l2 ball with a radius, such as linf(8/255); got {ball!r}")
    return ball.radius
