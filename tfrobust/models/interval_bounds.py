"""Bounds of what a network answers in a whole ball: interval bound propagation.

Gowal et al., arXiv 1810.12715, "On the effectiveness of interval bound propagation for training verifiably robust models".
"""

import keras
import numpy as np
import tensorflow as tf
from keras.src.models import Functional  # what keras.Model(inputs, outputs) is; it has no public name

from tfrobust.errors import InputError
from tfrobust.layers.interval import Interval


class IntervalBounds:
    """Sound bounds of a network's logits on all images within a linf distance. No attack can lead out of them.

    They are as loose as the network was not trained for them: see `tfrobust.defenses.IntervalBoundTraining`. They do not
    cover rounding, which of float32 is small: in mixed precision they serve to train, not to prove.

    Args:
      network: a functional or sequential Keras model of layers alone, from images in [0, 1] to logits. It is shared, not
        copied: bounds follow its weights.

    Raises:
      InputError: for a network with a layer whose bounds are not known, naming it.

    Example:
      >>> bounds = IntervalBounds(network)
      >>> certified = bounds.certified(images, labels, radius=0.1)
    """

    def __init__(self, network: keras.Model):
        if isinstance(network, keras.Sequential):
            network = keras.Model(network.inputs[0], network.outputs[0], name=network.name)
        if not isinstance(network, Functional) or any(isinstance(layer, keras.Model) for layer in network.layers):
            raise InputError(f"{network.name} is not made of layers alone: interval bounds need each of its layers")
        last = network.layers[-1]
        self._last = last if type(last) is keras.layers.Dense and last.activation is keras.activations.linear else None
        body = keras.Model(network.inputs[0], last.input) if self._last else network
        self._body = keras.models.clone_model(
            body,
            input_tensors=keras.Input([2, *network.input_shape[1:]]),
            clone_function=lambda layer: layer,
            call_function=lambda layer, inputs, **_: Interval(layer)(inputs),
        )

    def logits(self, images: np.ndarray | tf.Tensor, radius: float | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The lower and the upper bounds of the logits.

        Args:
          images: float32 [batch, height, width, channels] in [0, 1].
          radius: a number, the linf distance on the [0, 1] pixel scale; the images around stay in [0, 1].

        Returns:
          (float32 [batch, classes], float32 [batch, classes]).
        """
        found = self._body(_box(images, radius), training=False)
        found = Interval(self._last)(found) if self._last else found
        return found[:, 0], found[:, 1]

    def margins(
        self, images: np.ndarray | tf.Tensor, labels: np.ndarray | tf.Tensor, radius: float | tf.Tensor
    ) -> tf.Tensor:
        """Upper bounds of each logit less the label's: float32 [batch, classes], 0 at the label.

        Tighter than the difference of two bounds: the last layer is bounded together with the difference.

        Args:
          images, radius: see `logits`.
          labels: int [batch].
        """
        if self._last is None:
            lower, upper = self.logits(images, radius)
            least = tf.gather(lower, labels, batch_dims=1)[:, None]
            return tf.where(_of(labels, upper), 0.0, tf.cast(upper - least, tf.float32))
        kernel = tf.transpose(self._last.kernel)
        found = tf.cast(self._body(_box(images, radius), training=False), kernel.dtype)  # of 16 bits in mixed precision
        center, reach = (found[:, 0] + found[:, 1]) / 2.0, (found[:, 1] - found[:, 0]) / 2.0
        difference = kernel[None] - tf.gather(kernel, labels)[:, None]  # [batch, classes, features]
        margins = tf.einsum("bcf,bf->bc", difference, center) + tf.einsum("bcf,bf->bc", tf.abs(difference), reach)
        if self._last.use_bias:
            margins += self._last.bias[None] - tf.gather(self._last.bias, labels)[:, None]
        return tf.cast(margins, tf.float32)

    def certified(
        self, images: np.ndarray | tf.Tensor, labels: np.ndarray | tf.Tensor, radius: float | tf.Tensor
    ) -> tf.Tensor:
        """bool [batch]: whether every image within the radius is classified as the label."""
        return hold(self.margins(images, labels, radius), labels)


def hold(margins, labels) -> tf.Tensor:
    """bool [batch]: whether margins [batch, classes], upper bounds as `IntervalBounds.margins` gives them, prove the label."""
    return tf.reduce_all((margins < 0.0) | _of(labels, margins), axis=1)


def _box(images, radius):
    """All images within the radius: float32 [batch, 2, height, width, channels]."""
    images = tf.convert_to_tensor(images, tf.float32)
    return tf.stack([tf.maximum(images - radius, 0.0), tf.minimum(images + radius, 1.0)], axis=1)


def _of(labels, logits):
    """bool [batch, classes], true at the label."""
    return tf.one_hot(labels, logits.shape[1], on_value=True, off_value=False)
