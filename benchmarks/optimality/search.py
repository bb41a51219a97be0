"""The smallest perturbation that an attack in a ball finds, by halving the radius."""

from collections.abc import Callable, Sequence

import numpy as np

_FINDING, _NARROWING = 6, 7  # rounds; the first, of half as many steps, find an interval
START = {"linf": 0.1, "l2": 1.0, "l1": 10.0}  # the first radius


def schedule(passes: int) -> tuple[int, ...]:
    """How many steps of a forward and a backward pass each round of `smallest` has, so that they use up the passes.

    Example:
      >>> schedule(2000)
      (49, 49, 49, 49, 49, 49, 99, 99, 99, 99, 99, 99, 99)
    """
    many = passes // 20 - 1
    return ((many - 1) // 2,) * _FINDING + (many,) * _NARROWING


def smallest(
    attack: Callable, broken: Callable, size: Callable, images, labels, start: float, steps: Sequence[int]
) -> np.ndarray:
    """Images with the smallest perturbations found.

    A radius that breaks an image is halved, one that does not is doubled, until one of each is known; then the middle is
    tried. A found perturbation may be smaller than its radius.

    Args:
      attack: (radii [images], steps, images, labels) -> adversarial images; `one_radius_at_a_time` makes it of one that
        takes a number for a radius.
      broken: (adversarial images, labels) -> bool [images].
      size: (perturbations) -> float [images].
      images, labels: of the examples.
      start: the first radius.
      steps: of each call of the attack.

    Returns:
      The images, float32; the clean one where none was found.
    """
    low, high, best = np.zeros(len(images)), np.full(len(images), np.inf), images.copy()
    radius = np.full(len(images), start, "float32")
    for count in steps:
        made = attack(radius, count, images, labels)
        hit, sizes = broken(made, labels), size(made - images)
        better = hit & (sizes < high)
        best[better], high[better] = made[better], sizes[better]
        low[~hit] = radius[~hit]
        low = np.minimum(low, high)
        radius = np.where(np.isinf(high), 2 * low, np.where(low > 0, (low + high) / 2, high / 2))
        radius = np.float32(radius)
    return best


def one_radius_at_a_time(attack: Callable) -> Callable:
    """An attack that takes a radius for each image, from one that takes a number for all."""

    def each(radii, steps, images, labels):
        made = np.empty_like(images)
        for radius in np.unique(radii):
            rows = np.flatnonzero(radii == radius)
            made[rows] = attack(float(radius), steps, images[rows], labels[rows])
        return made

    return each
