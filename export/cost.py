"""What an artifact costs: its size, and the time that it takes for one image."""

import pathlib
import time
from typing import NamedTuple

import numpy as np

import tfrobust as tfr

_WARM_UP, _TIMES = 3, 25


class Cost(NamedTuple):
    """What an artifact costs.

    Attributes:
      size: bytes of its files; None of a served model.
      milliseconds: the median time for one image, in this process or over the network, with the threads that it takes.
    """

    size: int | None
    milliseconds: float


def measure(path: str, target: tfr.targets.Target, images: np.ndarray) -> Cost:
    """Measures an artifact on the first of some images.

    Args:
      path: of its file or folder, or its address.
      target: the artifact.
      images: float32 [examples, height, width, channels].
    """
    ask, image, seconds = target.predictor(), images[:1], []
    for _ in range(_WARM_UP + _TIMES):
        started = time.perf_counter()
        ask(image)
        seconds.append(time.perf_counter() - started)
    return Cost(_size(pathlib.Path(path)), float(np.median(seconds[_WARM_UP:])) * 1e3)


def _size(path):
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else None
