"""A model's answers for many images."""

import numpy as np

from tfrobust.evaluation import batches
from tfrobust.targets import Target


class Predictor:
    """Recomputes predictions in batches of one fixed size, so that nothing compiles twice.

    Attributes:
      name: the target's.
      batch_size: images at a time.
    """

    def __init__(self, target: Target, batch_size: int):
        self.name, self.batch_size = target.name, batch_size
        self._predict = target.predictor()

    def logits(self, images: np.ndarray) -> np.ndarray:
        """float32 [examples, classes]."""
        parts = [self._predict(batch)[:count] for batch, count in batches.padded(self.batch_size, images)]
        return np.concatenate(parts)

    def predictions(self, images: np.ndarray) -> np.ndarray:
        """int [examples], the classes of the largest logits."""
        return self.logits(images).argmax(axis=1)
