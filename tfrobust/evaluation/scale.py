"""The scale of pixels: images as users have them, and models that were trained on another scale than they are shown."""

from collections.abc import Sequence

import numpy as np

from tfrobust import targets
from tfrobust.errors import InputError
from tfrobust.evaluation import metrics
from tfrobust.evaluation.predictor import Predictor, predicted
from tfrobust.targets import Bounds

_SCALES = (targets.UNIT, targets.PIXELS, targets.CENTERED)
_LOW = 0.5  # the accuracy below which other scales are tried


def shared(models: Sequence[targets.Target]) -> Bounds:
    """The scale on which all the models take images; [0, 1] if theirs differ."""
    scales = {model.scale for model in models}
    return scales.pop() if len(scales) == 1 else targets.UNIT


def refuse_wrong(target: targets.Target, predictor: Predictor, images, labels, answers) -> None:
    """Refuses a model that classifies images on another scale far better, where nobody said which it takes.

    Args:
      target: whose model is asked again about these images if it classifies most of them wrongly.
      predictor: of the target.
      images: float32 [batch, height, width, channels] in [0, 1].
      labels: int [batch].
      answers: what the target answers for them.

    Raises:
      InputError: saying what to write.
    """
    hits = predicted(answers) == labels
    if not target.local or target.bounds is not None or hits.mean() >= _LOW:
        return
    for scale in _SCALES[1:]:
        with np.errstate(all="ignore"):
            others = predicted(predictor.answers(scale.scale(images))) == labels
        if (
            metrics.wilson_interval(others.mean(), len(labels))[0]
            > metrics.wilson_interval(hits.mean(), len(labels))[1]
        ):
            raise InputError(
                f"{target.name} classifies {hits.mean():.0%} of the first {len(labels)} images correctly in [0, 1], but "
                f"{others.mean():.0%} on the scale {scale}: {targets.how_to_give(scale)}"
            )
