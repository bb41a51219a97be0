"""Training of ACE's U-Net alone: the autoencoder learns to give back the images, the network behind it stays as it is.

ACE, ICLR 2019 submission, section 5: by mean squared error, with no training of the network.
"""

from typing import Any

import keras
import tensorflow as tf

from tfrobust.defenses import checks
from tfrobust.defenses.defense import Batch, Defense, Losses, scaled
from tfrobust.errors import InputError
from tfrobust.layers import UNetEnhancer
from tfrobust.models.ace import enhancer


@keras.saving.register_keras_serializable(package="tfrobust")
class EnhancerTraining(Defense):
    """A network behind ACE's U-Net, whose autoencoder alone is trained. Compile and fit it, then save `.network`.

    Minimized is the mean squared error of the autoencoder's images to those it is given; lam does not matter, and can be
    chosen after training. In validation the compiled metrics are reported too, of the network with the U-Net before it;
    in training it is not asked.

    Args:
      network: of `models.with_ace(trained, form="unet")`.

    Raises:
      InputError: for a network without a U-Net before it.

    Example:
      >>> model = EnhancerTraining(tfrobust.models.with_ace(trained, lam=0.99, form="unet"))
      >>> model.compile(keras.optimizers.Adam(2e-3), metrics=["accuracy"])
      >>> model.fit(photographs, labels, batch_size=8, epochs=30)
      >>> model.network.save("model.keras")
    """

    def __init__(self, network: keras.Model, **kwargs: Any):
        if not isinstance(enhancer(network), UNetEnhancer):
            raise InputError(f"{network.name} has ACE's two layers, which train with it: the U-Net alone trains alone")
        super().__init__(network, {}, [keras.metrics.Mean("squared_error")], **kwargs)

    @property
    def trainable_variables(self):
        return enhancer(self.network).autoencoder.trainable_variables

    def losses_of(self, batch: Batch, training: bool) -> Losses:
        images = checks.checked_images(batch.images)
        restored = enhancer(self.network).autoencoder(images, training=training)  # in mixed precision of 16 bits
        errors = tf.reduce_mean(tf.square(tf.cast(restored, images.dtype) - images), axis=[1, 2, 3])
        answers = None if training else self.network(images, training=False)
        return Losses(scaled(tf.reduce_mean(errors)), answers, {"squared_error": (errors,)})
