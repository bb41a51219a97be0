"""Data sets: 8-bit images from TFDS (or scikit-learn's digits), fed as float32 in [0, 1]."""

import pathlib
import threading
import urllib.error
import urllib.request
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust.errors import InputError

DATASETS = ("digits", "mnist", "cifar10")


class Split(NamedTuple):
    """One split of a data set, in memory.

    Attributes:
      images: uint8 [examples, height, width, channels], or float32 in [0, 1] for a user's own .npz file.
      labels: int64 [examples].
      classes: the number of classes.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: int

    def take(self, examples):
        """The first `examples` examples; all of them if `examples` is None."""
        return Split(self.images[:examples], self.labels[:examples], self.classes)

    def drop(self, examples):
        """All but the first `examples` examples."""
        return Split(self.images[examples:], self.labels[examples:], self.classes)

    def floats(self):
        """The images as float32 in [0, 1]."""
        if self.images.dtype == np.uint8:
            return self.images.astype("float32") / np.float32(255)
        return self.images

    def mean_image(self):
        """The mean of all images, float64 [height, width, channels] in [0, 1]."""
        return self.images.mean(axis=0, dtype="float64") / (255 if self.images.dtype == np.uint8 else 1)


def load(name, split, data_dir=None, download=True):
    """Loads a split into memory.

    Args:
      name: one of `DATASETS`, or the path of an .npz file with `images` (float32 [examples, height, width, channels]
        in [0, 1]) and `labels` (int [examples]), for which `split` does not matter.
      split: "train" or "test".
      data_dir: where TFDS keeps its data; None: `TFDS_DATA_DIR`, else TFDS' own default.
      download: whether missing data may be downloaded.

    Returns:
      A `Split`.

    Raises:
      InputError: for an unknown name, a file that cannot be used, or data that is neither there nor downloadable.

    Example:
      >>> load("digits", "test").images.shape
      (359, 28, 28, 1)
    """
    if str(name).endswith(".npz"):
        return _load_npz(name)
    if name == "digits":
        return _load_digits(split)
    if name not in DATASETS:
        raise InputError(f"unknown dataset {name!r}; there are: {', '.join(DATASETS)}, and .npz files")
    return _load_tfds(name, split, data_dir, download)


def batches(split, batch_size):
    """A pipeline of (float32 images in [0, 1], labels), in order."""
    dataset = tf.data.Dataset.from_tensor_slices((split.images, split.labels)).batch(batch_size)
    return dataset.map(_as_floats, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def training_batches(split, batch_size, *, seed, epochs=1, first_epoch=0, augmentation=None):
    """A pipeline through all epochs, each in a new order; a last batch that is not full is left out.

    Every batch follows from its number, `seed` and TensorFlow's global seed: a run that starts at `first_epoch` sees
    what an uninterrupted one would see from there on.

    Args:
      split: a `Split`.
      batch_size: examples per step.
      seed: of the order and of the augmentation.
      epochs, first_epoch: passes over the data in all, and where to start.
      augmentation: a function of (images, seed int64 [2]) such as `pad_crop_flip`, applied to each batch as stored.

    Returns:
      A `tf.data.Dataset` of (float32 images in [0, 1], labels), for `model.fit(steps_per_epoch=examples // batch_size,
      epochs=epochs, initial_epoch=first_epoch)`.

    Raises:
      InputError: if there are fewer examples than `batch_size`.

    Example:
      >>> images, labels = next(iter(training_batches(load("digits", "train"), 50, seed=0)))
      >>> images.shape
      TensorShape([50, 28, 28, 1])
    """
    examples = len(split.labels)
    if batch_size > examples:
        raise InputError(f"a batch of {batch_size} is more than the {examples} examples; choose a smaller one")
    images, labels = tf.constant(split.images), tf.constant(split.labels)

    def gather(step, indices):
        chosen = tf.gather(images, indices)
        if augmentation is not None:
            chosen = augmentation(chosen, tf.stack([tf.constant(seed, tf.int64), step]))
        return _as_floats(chosen, tf.gather(labels, indices))

    def steps(_):
        order = tf.data.Dataset.range(examples).shuffle(examples, seed=seed).batch(batch_size, drop_remainder=True)
        return order.repeat(epochs).enumerate().skip(first_epoch * (examples // batch_size))

    # Made anew for each iterator: else the shuffle would go on where an earlier iterator, perhaps Keras' own, stopped.
    ordered = tf.data.Dataset.range(1).flat_map(steps)
    ordered = ordered.apply(tf.data.experimental.assert_cardinality((epochs - first_epoch) * (examples // batch_size)))
    return ordered.map(gather, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def pad_crop_flip(images, seed, padding=4):
    """Zero-pads each side, crops back at a random place and mirrors at random: CIFAR's usual augmentation.

    Args:
      images: [batch, height, width, channels] of any kind.
      seed: int [2]; the same seed gives the same crops.
      padding: pixels on each side.

    Returns:
      Images of the same shape and kind.
    """
    batch, height, width = images.shape[:3]
    padded = tf.pad(images, [[0, 0], [padding, padding], [padding, padding], [0, 0]])
    choices = tf.constant([2 * padding + 1, 2 * padding + 1, 2], tf.float32)
    draws = tf.random.stateless_uniform([batch, 1, 3], seed) * choices
    top, left, mirrored = tf.unstack(tf.cast(draws, tf.int32), axis=-1)
    rows = top + tf.range(height)
    columns = left + tf.where(mirrored == 1, tf.range(width)[::-1], tf.range(width))
    return tf.gather(tf.gather(padded, rows, axis=1, batch_dims=1), columns, axis=2, batch_dims=1)


def _as_floats(images, labels):
    if images.dtype == tf.uint8:
        images = tf.cast(images, tf.float32) / 255.0
    return images, labels


def check_images(images, labels=None):
    """Refuses what is not float32 [batch, height, width, channels] in [0, 1], or labels that do not match.

    Raises:
      InputError: saying what came and what to do.
    """
    images = np.asarray(images)
    if not np.issubdtype(images.dtype, np.floating):
        raise InputError(f"images must be float32 in [0, 1], got {images.dtype}: convert them, for pixels / 255")
    if images.ndim != 4:
        raise InputError(f"images must be [batch, height, width, channels], got shape {images.shape}")
    if len(images) == 0:
        raise InputError("there are no images")
    if not np.all(np.isfinite(images)):
        raise InputError(f"images hold NaN or infinite values, first in image {_first_bad(~np.isfinite(images))}")
    if images.min() < 0 or images.max() > 1:
        raise InputError(
            f"images must lie in [0, 1], got [{images.min():.6g}, {images.max():.6g}] in image "
            f"{_first_bad((images < 0) | (images > 1))}: rescale them; models here preprocess inside"
        )
    if labels is not None:
        labels = np.asarray(labels)
        if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
            raise InputError(f"labels must be integers [{len(images)}], got {labels.dtype} of shape {labels.shape}")
        if labels.min() < 0:
            raise InputError(f"labels must be at least 0, got {labels.min()}")


def _first_bad(bad):
    return int(np.argmax(bad.reshape(len(bad), -1).any(axis=1)))


def read_arrays(path):
    """All arrays of an .npz file, name -> array.

    Raises:
      InputError: if there is no such file or it is not a sound archive of arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except Exception as error:  # NumPy raises half a dozen kinds for a damaged archive
        raise InputError(f"{path} is not a readable .npz file: {error}") from error


def _load_npz(path):
    arrays = read_arrays(path)
    if not {"images", "labels"} <= set(arrays):
        raise InputError(f"{path} must hold the arrays images and labels, it holds {sorted(arrays)}")
    images, labels = arrays["images"], arrays["labels"]
    try:
        check_images(images, labels)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return Split(images.astype("float32"), labels.astype("int64"), int(labels.max()) + 1)


def _load_digits(split):
    """The 1,797 real digits of scikit-learn (8x8, UCI Optical Recognition), resized to 28x28; every fifth is a test image."""
    from sklearn import datasets

    digits = datasets.load_digits()
    images = tf.image.resize(digits.images[..., None] / 16.0, [28, 28], method="bicubic")
    images = np.round(np.clip(images, 0, 1) * 255).astype("uint8")
    is_test = np.arange(len(images)) % 5 == 4
    if split not in ("train", "test"):
        raise InputError(f"digits has the splits train and test, got {split!r}")
    chosen = is_test if split == "test" else ~is_test
    return Split(images[chosen], digits.target[chosen].astype("int64"), 10)


def _load_tfds(name, split, data_dir, download):
    import tensorflow_datasets as tfds

    data_dir = None if data_dir is None else str(pathlib.Path(data_dir).expanduser())
    builder = tfds.builder(name, data_dir=data_dir)
    if not builder.data_path.exists():
        where = f"{name} is not in the data dir {builder.data_path.parent.parent}"
        if not download:
            raise InputError(f"{where}; pass --data_dir, set TFDS_DATA_DIR, or allow the download")
        if not _reachable(builder):
            raise InputError(f"{where}, and its host does not answer; pass --data_dir or set TFDS_DATA_DIR")
        builder.download_and_prepare()
    try:
        examples = builder.as_dataset(split=split, batch_size=-1)
    except Exception as error:  # TFDS raises whatever a missing or damaged file leads it to
        raise InputError(
            f"{builder.data_path} is incomplete or damaged: remove it or copy it anew ({error})"
        ) from error
    labels = examples["label"].numpy().astype("int64")
    return Split(examples["image"].numpy(), labels, builder.info.features["label"].num_classes)


def _reachable(builder, seconds=5.0):
    """Whether the data set's host answers. TFDS would go on trying for minutes; this takes seconds at most."""
    answered = threading.Event()

    def ask():
        request = urllib.request.Request(next(iter(builder.url_infos)), method="HEAD")
        try:
            urllib.request.urlopen(request, timeout=seconds).close()
        except urllib.error.HTTPError:
            pass  # refusing a HEAD request is an answer
        except OSError:
            return
        answered.set()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return answered.is_set()
