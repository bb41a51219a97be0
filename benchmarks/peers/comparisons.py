"""What is compared: the attacks, their budgets, which are the same on every side, and what tfrobust is to reach."""

import dataclasses

RADIUS = 0.1  # linf
SEARCHES = 9  # values of Carlini and Wagner's c
PIXELS = 3  # of the few-pixel attack
POPULATION = 400


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One attack on all sides.

    Attributes:
      attack: tfrobust's, in its language, where {steps} and {values} (of an image) stand for numbers.
      steps: of the attack, on every side.
      norm: in which perturbations are measured.
      targeted: toward the most likely wrong class, else away from the label.
      slow: takes minutes: measured once, other attacks in several rounds.
      speed: images per second, at least this many times those of the fastest peer; None: nothing is asked.
      size: median perturbation, at most this many times that of the reference peer, Foolbox.
      floor: time, at most this many times that of as many bare gradients.
    """

    attack: str
    steps: int
    norm: str
    targeted: bool = False
    slow: bool = False
    speed: float | None = None
    size: float | None = None
    floor: float | None = None


COMPARISONS = {
    "pgd": Comparison(f"pgd(linf({RADIUS}), steps={{steps}})", 40, "linf", speed=1.0, floor=1.08),
    "deepfool": Comparison("deepfool(steps={steps})", 50, "l2", speed=5.0, size=1.01),
    "carlini_wagner": Comparison(
        f"carlini_wagner(searches={SEARCHES}, steps={{steps}})", 500, "l2", slow=True, speed=3.0, size=1.01
    ),
    "ddn": Comparison("ddn(steps={steps})", 100, "l2", speed=2.0, size=1.01),
    "fmn_linf": Comparison("fmn(linf, steps={steps})", 100, "linf", speed=2.0, size=1.01),
    "fmn_l1": Comparison("fmn(l1, steps={steps})", 100, "l1", speed=2.0, size=1.01),
    "boundary": Comparison("boundary(steps={steps})", 5000, "l2", slow=True, speed=2.0, size=1.05),
    "square": Comparison(f"square(linf({RADIUS}), queries={{steps}})", 1000, "linf", slow=True, speed=2.0),
    "jsma": Comparison("jsma(gamma=2*{steps}/{values}, targeted=True)", 57, "l0", targeted=True, speed=5.0),
    "one_pixel": Comparison(
        f"one_pixel(l0({PIXELS}), population={POPULATION}, steps={{steps}})", 100, "l0", slow=True, speed=5.0
    ),
}


def step_size(steps):
    """Of PGD: tfrobust's default, after Madry et al."""
    return min(2.5 / steps, 1.0) * RADIUS
