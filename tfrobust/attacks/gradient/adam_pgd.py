"""Projected gradient ascent whose steps are Adam's: gradients with momentum, each value on its own scale.

So attacks DeepMind's `adversarial_robustness` (Gowal et al., 2020, "Uncovering the limits of adversarial training against
norm-bounded adversarial examples"), on the margin.
"""

from typing import Literal

from tfrobust import balls, objectives
from tfrobust.attacks.gradient.pgd import PGD
from tfrobust.attacks.steps import Adam
from tfrobust.objectives import Objective


def adam_pgd(
    ball: balls.Ball,
    *,
    steps: int = 40,
    learning_rate: float = 0.1,
    restarts: int = 1,
    objective: Objective = objectives.margin,
    keep: Literal["best", "last"] = "best",
) -> PGD:
    """PGD with Adam.

    Args:
      ball: the allowed perturbations, `Linf(radius)` or `L2(radius)`.
      steps, restarts, objective, keep: as for `PGD`.
      learning_rate: Adam's, on the [0, 1] pixel scale.

    Memory: that of `PGD` with Adam, 10 batches of images.

    Example:
      >>> adversarial = adam_pgd(balls.Linf(8 / 255), steps=100)(logits_fn, images, labels, seed=0)
    """
    return PGD(
        ball, steps=steps, step_size=learning_rate, restarts=restarts, objective=objective, optimizer=Adam(), keep=keep
    )
