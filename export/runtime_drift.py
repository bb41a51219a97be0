"""How much a TFLite file's answers depend on who runs it: threads, kernels and the size of the batch."""

import os
from typing import NamedTuple

import numpy as np

import tfrobust as tfr
from export import conformance


class Setting(NamedTuple):
    """One way to run it, beside the first: all threads, XNNPACK, the images together.

    Attributes:
      threads, xnnpack, batch: of the interpreter.
      largest: the largest difference of a logit from the first way's; None where it does not run so.
      flips: how many images it classifies differently.
    """

    threads: int
    xnnpack: bool
    batch: int
    largest: float | None
    flips: int | None

    def described(self) -> str:
        """In words."""
        kernels = "XNNPACK" if self.xnnpack else "LiteRT's own kernels"
        return f"{kernels}, {self.threads} thread{'s' * (self.threads > 1)}, batches of {self.batch}"


class Drift(NamedTuple):
    """What was found.

    Attributes:
      examples: how many images were shown.
      settings: each other way.
      largest: over them.
      undecided: int, the images whose two largest logits differ by less than that: who runs the file decides them.
    """

    examples: int
    settings: list[Setting]
    largest: float
    undecided: list[int]


def measure(target: "tfr.targets.TFLiteTarget", images: np.ndarray) -> Drift:
    """Runs the file on images, float32 [examples, height, width, channels] in [0, 1], in each way."""
    together, threads = len(images), os.cpu_count() or 1
    ways = dict.fromkeys([(1, True, together), (threads, False, together), (1, False, together), (threads, True, 1)])
    first, settings = conformance.logits_of(target, images, together), []
    for count, xnnpack, batch in ways:
        try:
            found = conformance.logits_of(target.rerun(threads=count, xnnpack=xnnpack), images, batch)
        except tfr.InputError:
            settings.append(Setting(count, xnnpack, batch, None, None))
            continue
        largest = float(np.abs(found - first).max())
        settings.append(Setting(count, xnnpack, batch, largest, int((found.argmax(1) != first.argmax(1)).sum())))
    largest = max((one.largest for one in settings if one.largest is not None), default=0.0)
    second, best = np.sort(first, axis=1)[:, -2:].T
    return Drift(together, settings, largest, np.flatnonzero(best - second < largest).tolist())
