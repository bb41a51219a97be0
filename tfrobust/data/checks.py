"""What is refused as images and labels: the cause comes first, and with it what to do."""

import numpy as np
from numpy.typing import ArrayLike

from tfrobust.errors import InputError

_NHWC = "[batch, height, width, channels]"


def check_images(images: ArrayLike, labels: ArrayLike | None = None) -> None:
    """Refuses what is not float32 [batch, height, width, channels] in [0, 1], or labels that do not match.

    Raises:
      InputError: saying what came and what to do.
    """
    images = as_array(images, "images")
    if not is_floating(images):
        raise InputError(f"images must be float32 in [0, 1], got {images.dtype}: convert them, for pixels / 255")
    if labels is not None:
        labels = as_array(labels, "labels")
        check_lengths(images, labels)
    check_layout(images)
    check_range(images)
    if labels is not None:
        check_integers(labels)


def as_array(values, what) -> np.ndarray:
    """A NumPy array of numbers from arrays, tensors and nested lists.

    Raises:
      InputError: where the parts differ in shape, or there is nothing.
    """
    if values is None:
        raise InputError(f"{what} are missing, got None")
    try:
        array = np.asarray(values)
    except Exception as error:  # each kind of array has its own
        raise InputError(
            f"{what} do not form one array: their parts differ in shape or kind ({reason(error)})"
        ) from error
    if array.dtype == object:
        raise InputError(f"{what} must be an array of numbers, got {type(values).__name__} that is none")
    return array


def is_floating(array):
    """Whether an array holds floats, bfloat16 among them."""
    return array.dtype.name == "bfloat16" or np.issubdtype(array.dtype, np.floating)


def check_lengths(images, labels):
    """Refuses labels that are not as many as the images."""
    if images.ndim and (labels.ndim == 0 or len(labels) != len(images)):
        came = f"{len(labels)} labels" if labels.ndim else f"the one label {labels}"
        raise InputError(
            f"lengths differ: {len(images)} images, {came}; labels must be [{len(images)}], one for each image"
        )


def check_layout(images):
    """Refuses what is no batch of images with the channels last."""
    shape = images.shape
    if images.ndim == 3:
        raise InputError(
            f"images must be {_NHWC}, got shape {shape}: add the channel of gray images by images[..., np.newaxis], or the "
            "batch of a single image by images[np.newaxis]"
        )
    if images.ndim != 4:
        raise InputError(f"images must be {_NHWC}, got shape {shape}")
    if len(images) == 0:
        raise InputError("there are no images")
    if 0 in shape:
        raise InputError(f"images hold no pixels, got shape {shape}")
    if shape[1] in (1, 3, 4) and min(shape[2:]) > 4:
        raise InputError(
            f"images are channels-first, got shape {shape}, and must be channels-last, {_NHWC}: turn them by "
            "np.transpose(images, (0, 2, 3, 1))"
        )


def check_range(images, bounds=(0.0, 1.0)):
    """Refuses floats that are NaN, infinite, or outside of [0, 1] and of a model's own bounds."""
    low, high = images.min(), images.max()  # NaN if any value is
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = _first_bad(images, lambda image: ~np.isfinite(image))
        raise InputError(f"images hold NaN or infinite values, first in image {bad}")
    least, most = min(0.0, bounds[0]), max(1.0, bounds[1])
    if low < least or high > most:
        bad = _first_bad(images, lambda image: (image < least) | (image > most))
        allowed = "[0, 1]" if (least, most) == (0, 1) else f"[0, 1] or the bounds [{least:g}, {most:g}]"
        raise InputError(
            f"images must lie in {allowed}, got [{low:.6g}, {high:.6g}], first in image {bad}: {_rescale(low, high)}"
        )


def _rescale(low, high):
    """What to do about images of another scale."""
    bounds = "by bounds=({0}, {1}), on the command line --bounds={0},{1}, if the model takes them so"
    if 2 < high <= 255 and low >= 0:
        return f"divide pixels in 0 to 255 by 255 (images / 255), or say so {bounds.format(0, 255)}"
    if -1 <= low < -0.5 and high <= 1:
        return f"rescale them by (images + 1) / 2, or say so {bounds.format(-1, 1)}"
    if low >= -0.25 and high <= 1.25:
        return "clip them by np.clip(images, 0, 1)"
    return "rescale them; models here preprocess inside, so that mean and standard deviation belong into a first layer"


def check_integers(labels):
    """Refuses labels that are no class numbers [examples]."""
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"labels must be integers [{len(labels)}], got {labels.dtype} of shape {labels.shape}: "
            "give the classes' numbers, such as labels.astype('int64')"
        )
    if labels.ndim != 1:
        raise InputError(f"labels must be integers [{len(labels)}], got {labels.dtype} of shape {labels.shape}")
    if len(labels) and labels.min() < 0:
        raise InputError(
            f"labels must be at least 0, got {labels.min()}, first of image {int(np.argmax(labels < 0))}: "
            "a test split of -1 has no labels"
        )


def _first_bad(images, is_bad):
    """The first image with a bad value; one image at a time, since there may be many large ones."""
    return next(place for place, image in enumerate(images) if is_bad(image).any())


def reason(error: Exception) -> str:
    """The first line of an exception's message, without TensorFlow's name of the operation before it."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rsplit("}}", 1)[-1].strip()
