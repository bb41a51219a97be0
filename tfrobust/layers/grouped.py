"""A convolution in groups of channels that runs wherever one without groups does."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfrobust")
class GroupedConv2D(keras.layers.Conv2D):
    """`Conv2D(groups=...)` as one convolution for each group: the same weights, the same result.

    TensorFlow has no gradients of grouped convolutions on a CPU. Keras compiles them by XLA there, which is slow, has no
    second derivatives in a loop, and does not convert to TFLite.

    Takes the arguments of `keras.layers.Conv2D`, channels last.

    Example:
      >>> GroupedConv2D(8, 3, groups=2)(keras.ops.ones([1, 6, 6, 4])).shape
      TensorShape([1, 4, 4, 8])
    """

    def convolution_op(self, inputs, kernel):
        parts, kernels = ops.split(inputs, self.groups, axis=-1), ops.split(kernel, self.groups, axis=-1)
        convolve = super().convolution_op
        return ops.concatenate([convolve(part, own) for part, own in zip(parts, kernels, strict=True)], axis=-1)
