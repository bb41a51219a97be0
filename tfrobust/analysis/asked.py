"""A model as analyses ask it."""

import numpy as np

from tfrobust import targets
from tfrobust.evaluation.predictor import Predictor


def asked(model, images: np.ndarray, batch_size: int) -> tuple[targets.Target, Predictor]:
    """The target that a model is, and its predictions in batches of one size.

    Args:
      model: whatever `tfrobust.targets.as_target` takes.
      images: float32 [examples, height, width, channels], some of those that it will be asked about.
      batch_size: images at a time.

    Raises:
      InputError: for what is no classifier of such images.
    """
    target = targets.as_target(model)
    target.check(images)
    predictor = Predictor(target, batch_size)
    targets.check_answers(predictor.answers(images[:batch_size]), target)
    return target, predictor
