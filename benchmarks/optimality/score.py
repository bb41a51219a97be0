"""AttackBench's measure (Cinà et al., AAAI 2025, "AttackBench: Evaluating gradient-based attacks", section 3)."""

import numpy as np


def nearest(distances) -> np.ndarray:
    """What is known best of each image: the smallest distance over attacks, [attacks, images] -> [images]."""
    return np.min(distances, axis=0)


def optimality(distances, best) -> float:
    """1 − (area − best area) / (clean accuracy · largest distance − best area).

    The area is that below the accuracy-distance curve up to the distance at which the best curve has come to its end.

    Args:
      distances: float [images], of the smallest perturbations that an attack found: 0 of a misclassified image, infinite of
        one that it did not break.
      best: float [images], the smallest of all attacks.

    Returns:
      From 0, as if nothing was found, to 1, the best of all for each image.

    Example:
      >>> optimality(np.array([1.0, 4.0]), best=np.array([1.0, 2.0]))  # the end is at 2
      1.0
      >>> optimality(np.array([1.5, 2.0]), best=np.array([1.0, 2.0]))
      0.5
    """
    end = best[np.isfinite(best)].max()
    area, least, most = (np.minimum(values, end).mean() for values in (distances, best, np.where(best > 0, end, 0.0)))
    return float(1.0 - (area - least) / (most - least))
