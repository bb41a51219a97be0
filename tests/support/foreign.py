"""Models as users write them, by Keras and TensorFlow alone: one small classifier of digits in many forms."""

import functools

import keras
import numpy as np
import tensorflow as tf
from sklearn import datasets

layers = keras.layers
SHAPE = (8, 8, 1)
EXAMPLES = 200


@functools.cache
def data():
    """uint8 images [examples, 8, 8, 1] and labels, for training and for tests."""
    digits = datasets.load_digits()
    images = np.round(digits.images[..., None] * (255 / 16)).astype("uint8")
    return (images[EXAMPLES:], digits.target[EXAMPLES:]), (images[:EXAMPLES], digits.target[:EXAMPLES])


@functools.cache
def trained(classes=10):
    """Weights of `Flatten, Dense(24, relu), Dense(classes)` for images in [0, 1]; two classes are odd and even, in one score."""
    keras.utils.set_random_seed(0)
    (images, labels), _ = data()
    network = keras.Sequential([keras.Input(SHAPE), *stack(outputs=classes)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    if classes == 1:
        labels, loss = (labels % 2)[:, None], keras.losses.BinaryCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(0.01), loss)
    network.fit(images / 255.0, labels, batch_size=128, epochs=12, verbose=0)
    return network.get_weights()


def stack(last=None, outputs=10, **kwargs):
    """The layers, without weights."""
    return [
        layers.Flatten(**kwargs),
        layers.Dense(24, activation="relu", **kwargs),
        layers.Dense(outputs, activation=last, **kwargs),
    ]


def with_weights(network, classes=10):
    """The network with the trained weights."""
    network.set_weights(trained(classes))
    return network


def sequential(*before, last=None, after=(), shape=SHAPE, outputs=10, **kwargs):
    """A sequential model: layers before, the stack, layers after."""
    network = keras.Sequential([keras.Input(shape), *before, *stack(last, outputs, **kwargs), *after])
    return with_weights(network, outputs)


def built_stack(last=None):
    """The layers with their weights, in no model yet."""
    parts = stack(last)
    with_weights(keras.Sequential([keras.Input(SHAPE), *parts]))
    return parts


class Subclassed(keras.Model):
    """What a user writes who wants `call`: preprocessing and softmax are TensorFlow's."""

    def __init__(self, parts):
        super().__init__()
        self.flatten, self.hidden, self.scores = parts

    def call(self, inputs, training=False):
        return tf.nn.softmax(self.scores(self.hidden(self.flatten(inputs / 255.0))))


class Module(tf.Module):
    """A classifier without Keras, for batches of seven."""

    def __init__(self, classes=10):
        super().__init__()
        self.variables_ = [tf.Variable(value) for value in trained(classes)]

    def scores(self, images):
        """The logits."""
        kernel, bias, last_kernel, last_bias = self.variables_
        hidden = tf.nn.relu(tf.reshape(images, [-1, 64]) @ kernel + bias)
        return hidden @ last_kernel + last_bias

    @tf.function(input_signature=[tf.TensorSpec([7, *SHAPE], tf.float32)])
    def predict(self, images):
        scores = self.scores(images / 255.0)
        return {"classes": tf.argmax(scores, axis=1), "scores": tf.nn.softmax(scores)}

    @tf.function(input_signature=[tf.TensorSpec([None, *SHAPE], tf.uint8)])
    def of_pixels(self, images):
        return self.scores(tf.cast(images, tf.float32) / 255.0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def of_files(self, contents):
        images = tf.map_fn(tf.io.decode_png, contents, tf.uint8)
        return self.scores(tf.cast(images, tf.float32) / 255.0)


def tflite(network, path, calibration=None, kind=None, outputs=None):
    """Converts a network by TensorFlow's converter: as it is, or to integers throughout."""
    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    if calibration is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None].astype("float32")] for image in calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if kind is not None:
        converter.inference_input_type, converter.inference_output_type = kind, outputs or kind
    path.write_bytes(converter.convert())
    return path


def saved(module, path, **signatures):
    """Writes a SavedModel."""
    tf.saved_model.save(module, str(path), signatures=signatures or None)
    return path


def reference(classes, radius):
    """Clean accuracy and robust accuracy by FGSM, as the owner of the weights computes them with a bare `GradientTape`."""
    _, (images, labels) = data()
    if classes == 1:
        labels, loss = labels % 2, keras.losses.BinaryCrossentropy(from_logits=True)
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network = sequential(outputs=classes)
    images = tf.constant(images / 255.0, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(images)
        value = loss(labels[:, None] if classes == 1 else labels, network(images))
    adversarial = tf.clip_by_value(images + radius * tf.sign(tape.gradient(value, images)), 0.0, 1.0)

    def correct(batch):
        scores = network(batch).numpy()
        return (scores[:, 0] > 0) == labels if classes == 1 else scores.argmax(axis=1) == labels

    clean = correct(images)
    return clean.mean(), (clean & correct(adversarial)).mean()
