"""What a model takes, and how images [batch, height, width, channels] in [0, 1] become it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust.errors import InputError
from tfrobust.targets.bounds import PIXELS, UNIT, Bounds

_CHANNELS = (1, 3, 4)


class Inputs(NamedTuple):
    """The input of a model.

    Attributes:
      shape: (height, width, channels); None where it is not said.
      dtype: a TensorFlow one. Integers are pixels, rounded.
      bounds: the scale.
      batch: the size of all its batches; None: any.
      plain: whether it takes [batch, height, width] without a channel.
    """

    shape: tuple[int | None, ...] = (None, None, None)
    dtype: tf.DType = tf.float32
    bounds: Bounds = UNIT
    batch: int | None = None
    plain: bool = False

    @classmethod
    def of(cls, name, shape, dtype, bounds: Bounds | None):
        """From the shape [batch, height, width, channels] or [batch, height, width] that a model declares.

        Raises:
          InputError: for what is no batch of images, and for channels-first ones.
        """
        shape = (None,) * 4 if shape is None else tuple(None if not size or size < 0 else int(size) for size in shape)
        if len(shape) not in (3, 4) or not (dtype.is_floating or dtype.is_integer):
            raise InputError(f"{name} does not take images [batch, height, width, channels], but {dtype.name} {shape}")
        plain = len(shape) == 3
        image = (*shape[1:], 1) if plain else shape[1:]
        refuse_channels_first(name, image)
        return cls(image, dtype, bounds or (UNIT if dtype.is_floating else PIXELS), shape[0], plain)

    @property
    def differentiable(self) -> bool:
        """Whether gradients reach the images."""
        return self.dtype.is_floating

    def feed(self, images: tf.Tensor) -> tf.Tensor:
        """Images in [0, 1] as the model takes them."""
        images = self.bounds.scale(images)
        images = images[..., 0] if self.plain else images
        if self.differentiable:
            return tf.cast(images, self.dtype)
        return tf.saturate_cast(tf.round(images), self.dtype)

    def answers(self, model: Callable[[tf.Tensor], tf.Tensor], images: tf.Tensor) -> tf.Tensor:
        """What a model answers for images in [0, 1], asked in batches of its own size if it has one."""
        images = self.feed(images)
        if self.batch is None or images.shape[0] == self.batch:
            return model(images)
        count = tf.shape(images)[0]
        padding = [[0, -count % self.batch], *([[0, 0]] * (images.shape.rank - 1))]
        parts = tf.reshape(tf.pad(images, padding), [-1, self.batch, *_sizes(images)])
        answers = tf.map_fn(lambda part: tf.cast(model(part), tf.float32), parts, fn_output_signature=tf.float32)
        answers = tf.reshape(answers, [-1, *_sizes(answers[0])])[:count]
        return tf.ensure_shape(answers, [images.shape[0], *answers.shape[1:]])


def _sizes(batch):
    """The sizes of one example, as integers where they are known."""
    dynamic = tf.shape(batch)
    return [dynamic[axis] if size is None else size for axis, size in enumerate(batch.shape)][1:]


def refuse_channels_first(name, image_shape) -> None:
    """Raises `InputError` for an image shape such as (3, 32, 32)."""
    first, *_, last = image_shape
    if first in _CHANNELS and last is not None and last > max(_CHANNELS):
        raise InputError(
            f"{name} takes images {tuple(image_shape)}, which is channels-first: wrap it in a model that takes "
            "[batch, height, width, channels] and begins with keras.layers.Permute((3, 1, 2))"
        )


def zeros(inputs: Inputs, images: np.ndarray) -> tf.Tensor:
    """One black image of the size of `images`, as the model takes it."""
    return inputs.feed(tf.zeros([1, *images.shape[1:]]))
