"""Auto-PGD: projected gradient ascent whose steps follow its own progress, which needs no tuning.

Croce and Hein, ICML 2020 ("Reliable evaluation..."), and in l1 ICML 2021 ("Mind the box"): the steps are in `apgd_steps`.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from tfrobust import balls, objectives, seeds
from tfrobust.attacks import active, fields
from tfrobust.attacks.attack import Access, Attack
from tfrobust.attacks.gradient.apgd_steps import rule_for
from tfrobust.attacks.guard import without_nan
from tfrobust.attacks.problem import Problem


@dataclasses.dataclass(frozen=True)
class APGD(Attack):
    """Auto-PGD, untargeted or toward several wrong classes one after the other.

    An example is done as soon as an iterate is a success. One that resists returns the point with the largest
    objective of its last run.

    Attributes:
      ball: the allowed perturbations, `Linf(radius)`, `L2(radius)` or `L1(radius)`.
      steps: gradient evaluations per run, beside the one at the start; in l1 beside three, at the start in each of three
        shrinking balls.
      restarts: runs from different random points on the ball's surface; with `targets`, for each of them.
      objective: what is maximized, from `objectives`; not used with `targets`.
      targets: 0, or toward how many of the wrong classes to run, in the order of the clean image's logits; a model
        with fewer has fewer, and an attacker with a goal has that one. The objective is the targeted DLR, or for fewer
        than four classes, where that is not defined, the target's logit minus the label's.

    Memory: 12 batches of images, 20 in l1; runs and targets are one after the other.

    Example:
      >>> attack = APGD(balls.Linf(8 / 255), objective=objectives.dlr)
      >>> adversarial = attack(logits_fn, images, labels, seed=0)
    """

    ball: fields.NormBall = dataclasses.field()
    _: dataclasses.KW_ONLY
    steps: fields.Count = 100
    restarts: fields.Count = 1
    objective: fields.Maximized = objectives.cross_entropy
    targets: fields.Whole = 0

    name = "apgd"
    needs = Access.WHITE_BOX

    def run(self, problem: Problem) -> tf.Tensor:
        # Without targets one column, which nothing reads.
        classes = problem.rivals(self.targets) if self.targets else problem.labels[:, None]
        runs = classes.shape[1] * self.restarts

        def run(index, here, classes):
            toward = tf.gather(classes, index // self.restarts, axis=1)
            images, broken = self._ascend(here, seeds.fold_in(here.keys, index), toward)
            return classes, images, broken

        return active.loop(run, problem, classes, problem.images, runs)

    def _evaluate(self, here, x, toward):
        """The objective [active], its gradient, and whether the examples are a success: bool [active]."""

        def objective(logits):
            if not self.targets:
                return here.value_of(self.objective, logits)
            aim = objectives.targeted_dlr if logits.shape[1] >= 4 else objectives.targeted_margin
            return without_nan(aim(logits, here.labels, toward), logits)

        found = here.ascend(objective, x)
        return found.value, found.gradient, here.margin_of(found.logits) > 0.0

    def _ascend(self, problem, keys, toward):
        """One ascent from a random start: (images, bool [examples] whether they are a success)."""
        rule = rule_for(self.ball)
        plan = rule.plan(self.steps)

        def advance(count, here, state):
            ascent, toward = state
            clean, now = here.images, plan.at(count)
            x = tf.cond(
                now.begins,
                lambda: self.ball.nearest_image(ascent.best, clean, now.radius),
                lambda: rule.move(clean, ascent, now),
            )
            value, gradient, broken = self._evaluate(here, x, toward)
            broken &= now.radius <= self.ball.radius
            ascent = tf.cond(
                now.begins,
                lambda: rule.begin(clean, x, value, gradient, now.radius),
                lambda: rule.check(clean, ascent.went_to(x, value, gradient), ascent, now),
            )
            return (ascent, toward), (tf.where(balls.per_example(broken, x), x, ascent.best), broken), broken

        start, none = rule.start(problem, keys), tf.zeros_like(problem.images[:, 0, 0, 0])
        nowhere = rule.begin(problem.images, start, none, tf.zeros_like(start), 0.0)
        result = start, tf.zeros_like(toward, tf.bool)
        return active.loop(advance, problem, (nowhere, toward), result, plan.window.shape[0])

    def variants(self) -> tuple[Callable[..., Attack], ...]:
        return (apgd_targeted,)


apgd = APGD


def apgd_targeted(ball: balls.Ball, *, steps: int = 100, restarts: int = 1, targets: fields.Count = 9) -> APGD:
    """Auto-PGD on the targeted DLR (eq. 7), toward one wrong class after the other, likeliest first.

    Memory: that of `APGD`, whatever `targets`.
    """
    return APGD(
        ball, steps=steps, restarts=restarts, targets=fields.checked("apgd_targeted: targets", fields.Count, targets)
    )
