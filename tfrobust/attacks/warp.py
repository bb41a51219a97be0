"""Images turned, scaled and moved: what the spatial attack and patches do."""

import math

import keras
import tensorflow as tf


def warped(images, degrees, shift, scale=None):
    """Images turned about their center, scaled, and then moved, by bilinear interpolation; zeros come in from outside.

    Args:
      images: float32 [batch, height, width, channels], or [1, height, width, channels] for all.
      degrees: float32 [batch], counterclockwise.
      shift: float32 [batch, 2], pixels down and to the right.
      scale: float32 [batch], above 1 enlarges; None: 1.

    Returns:
      float32 [batch, height, width, channels]. The gradient with respect to the images is the resampling back.
    """
    height, width = images.shape[1:3]
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    scale = tf.ones_like(degrees) if scale is None else scale
    angle = degrees * (math.pi / 180)
    cosine, sine = _each(tf.cos, angle) / scale, _each(tf.sin, angle) / scale
    # From a place in the result to the one that it comes from.
    x, y = middle_x + shift[:, 1], middle_y + shift[:, 0]
    from_x = [cosine, -sine, middle_x - cosine * x + sine * y]
    from_y = [sine, cosine, middle_y - sine * x - cosine * y]
    none = tf.zeros_like(degrees)
    transforms = tf.stack([*from_x, *from_y, none, none], axis=1)
    images = tf.broadcast_to(images, [tf.shape(transforms)[0], *images.shape[1:]])
    return keras.ops.image.affine_transform(
        images, transforms, interpolation="bilinear", fill_mode="constant", data_format="channels_last"
    )


def _each(function, values):
    """A function of each value, from full vectors of 16: a kernel rounds what is left after its last one differently."""
    return function(tf.repeat(values[:, None], 16, axis=1))[:, 0]
