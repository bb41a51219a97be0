"""Whether an artifact computes what the model computes that it came from, on clean and on adversarial images.

Predictions alone tell little: a file with a filter set to zero may flip none of a hundred. What tells is the root mean
square of the difference of logits over their spread, which each precision has in a range of its own.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import tfrobust as tfr

if TYPE_CHECKING:  # `--help` does not wait for it
    import numpy as np

LIMITS = {"float32": 1e-4, "float16": 1e-3, "dynamic": 0.01, "int16x8": 0.01, "int8": 0.015}
_LAYERS = 4  # of the LeNet for which these hold
_ONE_BY_ONE = 16  # images that are also asked about alone


class Difference(NamedTuple):
    """Of an artifact's logits to the reference's on some images.

    Attributes:
      largest: the largest absolute difference.
      relative_rms: the root mean square of the difference, over the standard deviation of the reference's logits.
      flip_rate: the share of images that it classifies differently.
      flips_by_class: of each class that the reference says, how many images the artifact classifies differently.
      largest_between_batches: between the artifact's own answers to images in a batch and one by one.
    """

    largest: float
    relative_rms: float
    flip_rate: float
    flips_by_class: dict[int, int]
    largest_between_batches: float


def precision_of(target: "tfr.targets.Target") -> str:
    """The precision of an artifact, one of `LIMITS`: what a `.tflite` file holds; float32 of any other."""
    if not isinstance(target, tfr.targets.TFLiteTarget):
        return "float32"
    tensors = target.file.tensors
    computed = {tensor.dtype.name for tensor in tensors if tensor.value is None and tensor.quantization is not None}
    constants = {tensor.dtype.name for tensor in tensors if tensor.value is not None and tensor.value.ndim > 1}
    if "int16" in computed:
        return "int16x8"
    if computed & {"int8", "uint8"}:
        return "int8"
    return "dynamic" if "int8" in constants else "float16" if "float16" in constants else "float32"


def difference(reference: "tfr.targets.Target", artifact: "tfr.targets.Target", images: "np.ndarray") -> Difference:
    """Asks both about images, float32 [examples, height, width, channels] in [0, 1]."""
    return between(logits_of(reference, images), artifact, images)


def between(expected: "np.ndarray", artifact: "tfr.targets.Target", images: "np.ndarray") -> Difference:
    """Asks an artifact about images of which the reference's answers are known.

    Args:
      expected: float32 [examples, classes], from `logits_of` the reference.
      artifact: what is compared with it.
      images: float32 [examples, height, width, channels] in [0, 1].
    """
    import numpy as np

    found, few = logits_of(artifact, images), images[:_ONE_BY_ONE]
    said, flipped = expected.argmax(axis=1), expected.argmax(axis=1) != found.argmax(axis=1)
    classes, counts = np.unique(said[flipped], return_counts=True)
    return Difference(
        float(np.abs(found - expected).max()),
        relative_rms(found, expected),
        float(flipped.mean()),
        dict(zip(classes.tolist(), counts.tolist())),
        float(np.abs(logits_of(artifact, few, batch_size=1) - found[: len(few)]).max()),
    )


def relative_rms(found: "np.ndarray", expected: "np.ndarray") -> float:
    """The root mean square of the difference over the standard deviation of what is expected."""
    import numpy as np

    rms = np.sqrt(np.mean(np.square(found - expected, dtype="float64")))
    return float(rms / max(expected.std(dtype="float64"), 1e-12))


def logits_of(target: "tfr.targets.Target", images: "np.ndarray", batch_size: int | None = None) -> "np.ndarray":
    """Logits, or logarithms of probabilities, less their mean, which says nothing: float32 [examples, classes]."""
    from tfrobust.evaluation import batches
    from tfrobust.evaluation.predictor import Predictor

    size = batch_size or min(batches.default_size(images.shape[1:]), len(images))
    at_logits = tfr.targets.at_logits(target, Predictor(target, size).answers(images[:size]))
    logits = Predictor(at_logits, size).answers(images)
    return logits - logits.mean(axis=1, keepdims=True)


def predictions_of(target: "tfr.targets.Target", images: "np.ndarray") -> "np.ndarray":
    """The class of each image, int [examples], of a target that gives scores or labels."""
    from tfrobust.evaluation import batches
    from tfrobust.evaluation.predictor import Predictor

    return Predictor(target, min(batches.default_size(images.shape[1:]), len(images))).predictions(images)


def limit_of(precision: str, limit: float | None, layers: int = _LAYERS) -> float:
    """The largest `relative_rms` that holds: the one that was asked for, else that of the precision.

    Rounding adds up, so that of a deeper network more holds, in proportion to its layers: honest int8 files have 0.011 of a LeNet
    (4 layers), 0.037 of a ResNet-18 (21) and 0.14 of EfficientNet-Lite0 (50). What hides in that is found by the weights
    (`export.weights`).

    Args:
      precision: one of `LIMITS`.
      limit: what was asked for, or None.
      layers: `layers_of` the artifact.
    """
    if limit is not None:
        return limit
    return LIMITS[precision] * (1.0 if precision == "float32" else max(layers / _LAYERS, 1.0))


def layers_of(target: "tfr.targets.Target") -> int:
    """How many convolutions and dense layers a TFLite file has; of another artifact, whose precision is float32, no number."""
    if not isinstance(target, tfr.targets.TFLiteTarget):
        return _LAYERS
    from tfrobust.targets.tflite_checks import WEIGHTED

    return sum(one.kind in WEIGHTED for one in target.file.operations)


def missed(name: str, precision: str, limit: float, differences: Mapping[str, Difference]) -> list[str]:
    """A line for each kind of images on which an artifact differs by more than the limit."""
    return [
        f"{name}: its logits on {kind} images differ from the reference's by {found.relative_rms:.2g} of their spread, more "
        f"than {limit:g}, what {precision} may"
        for kind, found in differences.items()
        if not found.relative_rms <= limit  # NaN holds nowhere
    ]
