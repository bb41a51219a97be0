"""Whether an answer depends on the image alone: asked again, and in the company of other images.

What counts are the differences between the logits of an image: an offset that they have in common hides nothing.
"""

from typing import NamedTuple

import numpy as np

from tfrobust.evaluation import devices
from tfrobust.evaluation.predictor import changes
from tfrobust.evaluation.probes.model import AskedModel

PASSES = 3  # beside the one that predictions are from


class Answers(NamedTuple):
    """How much answers change, as a share of what separates the classes.

    Attributes:
      asked_again: float32 [examples], between passes over the same batches.
      other_company: float32 [examples], between batches of other images; none where a batch is one image.
      flipped: how many predictions are another in the company of other images.
      rounding: what the rounding of the logits alone may change, likewise.
    """

    asked_again: np.ndarray
    other_company: np.ndarray
    flipped: int
    rounding: float


def of(model: AskedModel, images, precision: float) -> Answers:
    """Asks about all images `PASSES` + 1 times in batches of the same images, and once in others, half of them strange.

    Args:
      model: what is asked.
      images: float32 [examples, height, width, channels], or what gives rows of such.
      precision: the smallest relative difference between numbers that the model computes in.
    """
    first = model.logits(images)
    spread = max(float(np.median(first.std(axis=1, dtype="float64"))), float(np.finfo("float32").tiny))
    again = np.max([changes(model.logits(images), first) for _ in range(PASSES)], axis=0) / spread
    other = _in_other_company(model, images)
    return Answers(
        asked_again=again,
        other_company=np.zeros(0) if other is None else changes(other, first) / spread,
        flipped=0 if other is None else int((other.argmax(axis=1) != first.argmax(axis=1)).sum()),
        rounding=2.0 * precision * float(np.abs(first).max()) / spread,
    )


def _in_other_company(model, images):
    """The logits of each image where half of a device's batch are inverted images; None where a batch is one image."""
    half = model.batch_size // 2
    if not half:
        return None
    found = []
    for rows in np.array_split(np.arange(len(images))[::-1], -(-len(images) // half)):
        batch = images[rows]
        company = 1.0 - np.resize(batch[::-1], (model.batch_size - len(batch), *batch.shape[1:]))
        order = _spread(len(company), len(batch), devices.count())
        answered = model.ask(np.concatenate([company, batch])[order])
        found.append(answered[np.argsort(order)][len(company) :])
    return np.concatenate(found)[::-1]


def _spread(company, others, parts):
    """int [company + others]: an order in which each device's part holds some of the company, then some of the others."""
    size, later = (company + others) // parts, np.array_split(np.arange(company, company + others), parts)
    first = np.split(np.arange(company), np.cumsum([size - len(part) for part in later])[:-1])
    return np.concatenate([part for pair in zip(first, later) for part in pair])
