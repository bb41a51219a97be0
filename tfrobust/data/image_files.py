"""PNG and JPEG files as uint8 images."""

import pathlib

import numpy as np
import tensorflow as tf

from tfrobust.data import checks, streams
from tfrobust.data.class_folders import HELD_OUT, list_images, training_and_test_images
from tfrobust.data.split import Split, rows_of
from tfrobust.errors import InputError


def load(
    folder,
    split: str = "test",
    examples: int | None = None,
    channels: int | None = None,
    size: tuple[int, int] | None = None,
    shard: tuple[int, int] = (0, 1),
) -> Split:
    """Reads the files of `list_images` as uint8 images.

    Args:
      folder, split: see `list_images`; "held_out": the test images of `training_and_test_images`.
      examples: read only the first so many; None: all.
      channels: 1, 3 or 4, into which other files are turned; None: 1 if all files are gray, else 3.
      size: (height, width): images of another size are cropped and resized by `fit`; None: all must have one size.
      shard: see `sources.load`. What holds for all, as their size, is that of the first of all files.

    Raises:
      InputError: for a file that cannot be read, and for sizes that differ.
    """
    files = training_and_test_images(folder)[1] if split == HELD_OUT else list_images(folder, split)
    files = files.take(examples)
    if channels not in (None, 1, 3, 4):
        raise InputError(f"{folder}: image files have 1, 3 or 4 channels, the model takes {channels}: give arrays")
    channels = _channels(files.paths) if channels is None else channels
    if size is None:
        size = _read_one(files.paths[0], channels).shape[:2]
        shape, resize = (*size, channels), False
    else:
        shape, resize = (*size, channels), True

    def decoded(path, label):
        image = decode(tf.io.read_file(path), channels)
        return tf.ensure_shape(fit(image, size) if resize else image, shape), label

    files = files.at(rows_of(shard, len(files.paths)))
    dataset = tf.data.Dataset.from_tensor_slices((files.paths, files.labels)).map(decoded, tf.data.AUTOTUNE)
    try:
        images, labels = streams.read(dataset, len(files.paths), str(folder))
    except InputError:
        _find_fault(files.paths, channels, None if resize else shape)
        raise
    return Split(images, labels, files.classes)


def decode(contents: tf.Tensor, channels: int = 0) -> tf.Tensor:
    """The uint8 image [height, width, channels] of a PNG or JPEG file's contents, whatever the file is called.

    JPEG by the accurate inverse transform, as Pillow does: TensorFlow's default differs by up to 23 of 255.
    """
    return tf.io.decode_jpeg(contents, channels=channels, dct_method="INTEGER_ACCURATE")


def fit(image: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """An image of another size: its largest centered part of the wanted proportions, resized bilinearly with antialiasing.

    Args:
      image: uint8 [height, width, channels].
      size: (height, width). An image of that size stays as it is, bit for bit.

    Returns:
      uint8 [*size, channels].
    """
    height, width = tf.shape(image)[0], tf.shape(image)[1]

    def resized():
        exact = tf.cast([height * size[1], width * size[0]], tf.float64)
        crop_height = tf.minimum(height, tf.cast(tf.round(exact[1] / size[1]), tf.int32))
        crop_width = tf.minimum(width, tf.cast(tf.round(exact[0] / size[0]), tf.int32))
        crop_height, crop_width = tf.maximum(crop_height, 1), tf.maximum(crop_width, 1)
        top, left = (height - crop_height) // 2, (width - crop_width) // 2
        part = image[top : top + crop_height, left : left + crop_width]
        found = tf.image.resize(part, size, method="bilinear", antialias=True)
        return tf.cast(tf.round(tf.clip_by_value(found, 0.0, 255.0)), tf.uint8)

    same = tf.logical_and(height == size[0], width == size[1])
    fitted = tf.cond(same, lambda: image, resized)
    return tf.ensure_shape(fitted, (*size, image.shape[-1]))


def _channels(paths) -> int:
    """1 if all files are gray, else 3. All are looked at only if the first is gray."""
    return 1 if all(_is_gray(path) for path in paths) else 3


def _is_gray(path) -> bool:
    """By what the file says of itself: PNG has its kind of color in byte 25, JPEG its components in the frame header."""
    try:
        contents = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if contents.startswith(b"\x89PNG"):
        return contents[25:26] in (b"\x00", b"\x04")
    return _read_one(path, 0).shape[-1] == 1


def _read_one(path, channels) -> np.ndarray:
    try:
        return decode(tf.io.read_file(path), channels).numpy()
    except (tf.errors.OpError, ValueError) as error:
        raise InputError(f"{path} is not a readable PNG or JPEG file: {checks.reason(error)}") from error


def _find_fault(paths, channels, shape) -> None:
    """Names the file that stopped the pipeline."""
    for path in paths:
        found = _read_one(path, channels).shape
        if shape is not None and found != shape:
            raise InputError(
                f"{path} is {found[0]}x{found[1]}, {paths[0]} is {shape[0]}x{shape[1]}: images must have one size; resize "
                "them, or say to which, by --image_size=HEIGHT,WIDTH or load(size=(height, width))"
            )
