"""What callers give as images and labels: arrays, lists, tensors or a pipeline, as the two arrays that all parts share."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfrobust.data import checks, streams
from tfrobust.data.split import Split
from tfrobust.errors import InputError

# What `arrays` takes as images: those of the latter kinds hold their labels already.
ImagesLike: TypeAlias = ArrayLike | Split | tf.data.Dataset | keras.utils.PyDataset | Iterable
_ARRAYS = (np.ndarray, tf.Tensor, tf.Variable, Sequence)


def arrays(
    images: ImagesLike,
    labels: ArrayLike | None = None,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    channels: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels in any of the usual forms, as two arrays.

    Args:
      images: uint8, or floats in [0, 1], [examples, height, width, channels]: an array, a tensor or nested lists. Whole
        numbers of another integer type are pixels in 0 to 255 as uint8 is. Or, with `labels` None, a `Split`, a
        `tf.data.Dataset` of (image, label) or {"image", "label"}, in batches or not, a Keras `PyDataset`, or an iterable of
        such pairs: each is read once.
      labels: class numbers [examples] or [examples, 1], or one-hot rows [examples, classes].
      bounds: floats on this scale are taken too, where they do not all lie in [0, 1].
      channels: of the model; with 1, images [examples, height, width] get their channel.

    Returns:
      uint8 or float32 images, the floats in [0, 1], and int64 labels [examples].

    Raises:
      InputError: saying what is wrong and what to do.

    Example:
      >>> images, labels = arrays(*keras.datasets.cifar10.load_data()[1])
      >>> images.dtype, labels.shape
      (dtype('uint8'), (10000,))
    """
    if isinstance(images, Split) and labels is None:
        labels, images = images.labels, images.images
    elif streams.is_pipeline(images) or (labels is None and not isinstance(images, _ARRAYS) and _iterates(images)):
        if labels is not None:
            raise InputError("a data set of (image, label) holds the labels already: give labels=None beside it")
        images, labels = streams.read(images)
    if labels is None and images is not None:
        raise InputError("labels are missing: give them beside the images, or give a tf.data.Dataset of (image, label)")
    images, labels = checks.as_array(images, "images"), checks.as_array(labels, "labels")
    checks.check_lengths(images, labels)
    if channels == 1 and images.ndim == 3:
        images = images[..., np.newaxis]
    return pixels(images, bounds), class_numbers(labels)


def _iterates(images):
    return isinstance(images, (Iterable, keras.utils.PyDataset))


def pixels(images: np.ndarray, bounds: tuple[float, float] = (0.0, 1.0)) -> np.ndarray:
    """uint8 images as they are, others as float32 in [0, 1].

    Raises:
      InputError: for what is no batch of images, and for values that are no pixels.
    """
    if not checks.is_floating(images) and not np.issubdtype(images.dtype, np.integer):
        raise InputError(
            f"images must be uint8 or floats in [0, 1], got {images.dtype}: convert them by astype('float32')"
        )
    checks.check_layout(images)
    if checks.is_floating(images):
        images = images.astype("float32", copy=False)
        checks.check_range(images, bounds)
        outside = images.min() < 0 or images.max() > 1
        return (images - np.float32(bounds[0])) / np.float32(bounds[1] - bounds[0]) if outside else images
    if images.min() < 0 or images.max() > 255:
        raise InputError(
            f"images of whole numbers must be pixels in 0 to 255, got {images.dtype} in [{images.min()}, {images.max()}]: "
            "rescale them to floats in [0, 1]"
        )
    if images.max() == 1:
        raise InputError(
            f"images of {images.dtype} hold 0 and 1 only, of pixels in 0 to 255: make them floats in [0, 1] by "
            "astype('float32')"
        )
    return images.astype("uint8", copy=False)


def class_numbers(labels: np.ndarray) -> np.ndarray:
    """int64 [examples] from class numbers [examples] or [examples, 1], or one-hot rows [examples, classes], of any type.

    Raises:
      InputError: for other labels.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    elif labels.ndim == 2:
        labels = _from_one_hot(labels)
    if labels.dtype == bool or (checks.is_floating(labels) and (labels == np.round(labels)).all()):
        labels = labels.astype("int64")  # Keras' label_mode="binary" gives 0.0 and 1.0
    checks.check_integers(labels)
    return labels.astype("int64", copy=False)


def _from_one_hot(rows):
    numbers = rows.astype("float32") if rows.dtype == bool or checks.is_floating(rows) else rows
    if not np.issubdtype(numbers.dtype, np.number):
        raise InputError(f"labels must be integers, got {rows.dtype} of shape {rows.shape}")
    one_hot = ((numbers == 0) | (numbers == 1)).all(axis=1) & (numbers.sum(axis=1) == 1)
    if not one_hot.all():
        bad = int(np.argmin(one_hot))
        raise InputError(
            f"labels of shape {rows.shape} must be one-hot, with one 1 in each row, first not so in row {bad}: give the "
            "classes' numbers, such as labels.argmax(axis=1)"
        )
    return numbers.argmax(axis=1)
