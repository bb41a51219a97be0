"""From RGB to BGR, which networks that Caffe trained take."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfrobust")
class ReverseChannels(keras.layers.Layer):
    """The channels in the opposite order.

    Example:
      >>> ReverseChannels()(keras.ops.ones([1, 2, 2, 3])).shape
      TensorShape([1, 2, 2, 3])
    """

    def call(self, images):
        return ops.flip(images, axis=-1)

    def compute_output_shape(self, input_shape):
        return input_shape
