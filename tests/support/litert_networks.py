"""Small trained-like networks whose TFLite files hold every operation that is differentiated."""

import keras

from tests.support import classifiers
from tfrobust import models
from tfrobust.models import masks

SHAPE = (16, 16, 3)
IMAGES = classifiers.random_images(24, SHAPE, low=0, high=1)
# Of the logits' deviation, rms: what files of a precision may differ by from their graph, and all their bits.
MODES = {"float32": 1e-5, "float16": 1e-5, "dynamic": 0.02, "int8": 0.02, "int16x8": 1e-3}


def mobile():
    """Depthwise convolutions, hard swish, squeeze and excitation, pools, branches that are joined."""
    image = keras.Input(SHAPE, name="image")
    x = keras.layers.ZeroPadding2D(1)(keras.layers.Rescaling(2.0, -1.0)(image))
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu6")(x)
    x = keras.layers.Activation("hard_silu")(keras.layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x))
    squeezed = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = keras.layers.Multiply()([x, keras.layers.Conv2D(16, 1, activation="sigmoid")(squeezed)])
    pooled = keras.layers.Concatenate()([keras.layers.MaxPooling2D(2)(x), keras.layers.AveragePooling2D(2)(x)])
    x = keras.layers.Subtract()([keras.layers.Conv2D(8, 1)(pooled), keras.layers.Conv2D(8, 3, padding="same")(pooled)])
    x = keras.layers.ReLU(6.0)(keras.layers.Add()([x, keras.layers.Conv2D(8, 1, dilation_rate=2)(x)]))
    x = keras.layers.Dense(5)(keras.layers.Flatten()(x))
    return keras.Model(image, keras.layers.Softmax()(x), name="mobile")


NETWORKS = {
    "lenet": lambda: models.lenet(input_shape=SHAPE, width=4, classes=5),
    "mobile": mobile,
    "resnet": lambda: models.resnet18(input_shape=SHAPE, width=4, classes=5, insert=masks.parse("shallow=0.5")),
    "ace": lambda: models.build("vgg11", input_shape=SHAPE, width=4, classes=5, ace=5.0),
}


def build(name):
    """A network whose normalizations are those of the images, with logits of all classes."""
    keras.utils.set_random_seed(0)
    network = NETWORKS[name]()
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(IMAGES, training=True)
    return network
