"""A model's predictions for many images, in batches of one size."""

import numpy as np

from tfrobust import targets


class Asked:
    """A model as analyses ask it.

    Args:
      model: whatever `tfrobust.targets.as_target` takes.
      images: float32 [examples, height, width, channels], some of those that it will be asked about.
      batch_size: images at a time.

    Raises:
      InputError: for what is no classifier of such images.
    """

    def __init__(self, model, images: np.ndarray, batch_size: int):
        self.target, self.batch_size = targets.as_target(model), batch_size
        self.target.check(images)
        self._predict = self.target.predictor()
        targets.check_answers(self._batch(images[:batch_size]), self.target)

    def predictions(self, images: np.ndarray) -> np.ndarray:
        """int [examples]: the classes that the model takes the images for."""
        answers = np.concatenate([self._batch(images[at : at + self.batch_size]) for at in self._starts(images)])
        return answers if answers.ndim == 1 else answers.argmax(axis=1)

    def _starts(self, images):
        return range(0, len(images), self.batch_size)

    def _batch(self, batch):
        """Of a batch that may be short: it is filled up, so that nothing compiles twice."""
        missing = self.batch_size - len(batch)
        return self._predict(np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)]))[: len(batch)]
