"""Pipelines that feed networks: 8-bit images become float32 in [0, 1] batch by batch."""

from collections.abc import Callable

import tensorflow as tf

from tfrobust.data.split import Split
from tfrobust.errors import InputError


def batches(split: Split, batch_size: int) -> tf.data.Dataset:
    """A pipeline of (float32 images in [0, 1], labels), in order."""
    dataset = tf.data.Dataset.from_tensor_slices((split.images, split.labels)).batch(batch_size)
    return dataset.map(_as_floats, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def training_batches(
    split: Split,
    batch_size: int,
    *,
    seed: int,
    epochs: int = 1,
    first_epoch: int = 0,
    augmentation: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None,
) -> tf.data.Dataset:
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


def pad_crop_flip(images: tf.Tensor, seed: tf.Tensor, padding: int = 4) -> tf.Tensor:
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
