"""Models made to deceive an evaluation, each a network behind or before something that hides its weakness.

A deceiver is a function from `logits_fn` to `logits_fn`; `DECEIVERS` holds them by name. Next to them stand functions
that look suspicious and are honest, `HONEST`.
"""

import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tfrobust import attacks, seeds, targets

LogitsFn = attacks.LogitsFn
Wrapper = Callable[[LogitsFn], LogitsFn]


class Wrapped(targets.Target):
    """A TensorFlow function as a white-box target."""

    access = attacks.Access.WHITE_BOX

    def __init__(self, logits_fn: LogitsFn, input_shape, name="wrapped"):
        super().__init__(name, input_shape)
        self.logits_fn_of_it = logits_fn

    def logits(self, images):
        return self.logits_fn_of_it(images)


def before(function) -> Wrapper:
    """A change of the images before the network sees them."""
    return lambda logits_fn: lambda images: logits_fn(function(images))


def after(function) -> Wrapper:
    """A change of what the network answers."""
    return lambda logits_fn: lambda images: function(logits_fn(images))


@tf.custom_gradient
def _reversed(images):
    return tf.identity(images), lambda upstream: -upstream


@tf.custom_gradient
def _random_backward(images):
    return tf.identity(images), lambda upstream: tf.random.stateless_normal(tf.shape(upstream), [1, 2])


@tf.custom_gradient
def _half_flipped(images):
    signs = tf.sign(tf.random.stateless_uniform(images.shape[1:], [3, 4]) - 0.5)
    return tf.identity(images), lambda upstream: upstream * signs


@tf.custom_gradient
def _tenth(images):
    kept = tf.cast(tf.random.stateless_uniform(images.shape[1:], [3, 4]) < 0.1, tf.float32)
    return tf.identity(images), lambda upstream: upstream * kept


@tf.custom_gradient
def _noisy_backward(images):
    def backward(upstream):
        size = tf.math.reduce_std(upstream, axis=[1, 2, 3], keepdims=True)
        return upstream + 3.0 * size * tf.random.stateless_normal(tf.shape(upstream), [5, 6])

    return tf.identity(images), backward


@tf.custom_gradient
def _binarized(images):
    return tf.cast(images > 0.5, tf.float32), lambda upstream: upstream


@tf.custom_gradient
def _on_8_bits(images):
    return tf.round(images * 255.0) / 255.0, lambda upstream: upstream


def decoy(logits_fn):
    """All that the network says is behind `stop_gradient`; what is left for gradients is a small linear function."""

    def logits(images):
        answers = tf.stop_gradient(logits_fn(images))
        rows = tf.reduce_sum(images, axis=[2, 3])
        return answers + 1e-3 * rows[:, : answers.shape[1]]

    return logits


def _bits_of(images):
    """int32 [batch], another number for another image."""
    values = math.prod(images.shape[1:])
    bits = tf.bitcast(tf.reshape(images, [-1, values]), tf.int32)
    return tf.reduce_sum(bits * (2 * tf.range(values) + 1), axis=1)


def hashed_noise(logits_fn):
    """Noise that is the same for the same image, and another for its neighbor."""

    def logits(images):
        answers = logits_fn(images)
        keys = tf.stack([_bits_of(images), tf.zeros_like(_bits_of(images))], axis=1)
        return answers + 3.0 * seeds.normal(keys, [answers.shape[1]])

    return logits


def masked_member(logits_fn):
    """The mean of two members, one of which sees a shifted image and gives no gradient."""
    return lambda images: (logits_fn(images) + tf.stop_gradient(logits_fn(tf.roll(images, 1, axis=1)))) / 2.0


def masked_members(logits_fn):
    """The mean of three members, two of which give no gradient."""

    def logits(images):
        hidden = sum(logits_fn(tf.roll(images, shift, axis=2)) for shift in (-1, 1))
        return (logits_fn(images) + tf.stop_gradient(hidden)) / 3.0

    return logits


def denoised(logits_fn):
    """Twenty small steps, each toward a smoother image, before the network answers."""

    def logits(images):
        def step(count, x):
            smooth = tf.nn.avg_pool2d(x, 3, 1, "SAME")
            return count + 1, x + 0.01 * (smooth - x)

        x = tf.while_loop(lambda count, x: count < 20, step, (0, images), maximum_iterations=20)[1]
        return logits_fn(x)

    return logits


def resized_at_random(logits_fn):
    def logits(images):
        size = tf.random.uniform([], 24, images.shape[1], tf.int32)
        return logits_fn(tf.image.resize_with_crop_or_pad(tf.image.resize(images, [size, size]), *images.shape[1:3]))

    return logits


def batch_dependent(logits_fn):
    """Every image is moved by the mean of the batch that it comes in."""

    def logits(images):
        return logits_fn(images - 0.5 * (tf.reduce_mean(images, axis=0, keepdims=True) - 0.13))

    return logits


def gradient_on_the_grid(logits_fn):
    """Gradients only where every pixel is on the 8-bit grid, as clean images are and attacked ones are not."""

    def logits(images):
        off = tf.reduce_max(tf.abs(images * 255.0 - tf.round(images * 255.0)), axis=[1, 2, 3]) > 1e-3
        answers = logits_fn(images)
        return tf.where(off[:, None], tf.stop_gradient(answers), answers)

    return logits


def hidden_member(logits_fn):
    """The mean of five members, one of which gives no gradient."""
    return lambda images: 0.8 * logits_fn(images) + 0.2 * tf.stop_gradient(logits_fn(tf.roll(images, 1, axis=1)))


def detector(logits_fn):
    """Where a smoothed image is answered otherwise by much, the answer is a constant, and so is the gradient."""

    def logits(images):
        answers = logits_fn(images)
        smooth = logits_fn(tf.nn.avg_pool2d(images, 2, 1, "SAME"))
        strange = tf.reduce_max(tf.abs(tf.nn.softmax(answers) - tf.nn.softmax(smooth)), axis=1) > 0.3
        return tf.where(strange[:, None], tf.stop_gradient(smooth), answers)

    return logits


def half_of_the_classes(logits_fn):
    """Images that are taken for a class below 5 get no gradient."""

    def logits(images):
        answers = logits_fn(images)
        hidden = tf.argmax(answers, axis=1)[:, None] < 5
        return tf.where(hidden, tf.stop_gradient(answers), answers)

    return logits


def offset_noise(logits_fn):
    """Random answers behind a common offset, beside which they look small."""
    return lambda images: logits_fn(images) + tf.random.normal([tf.shape(images)[0], 1]) * [[1.0] + 9 * [0.0]] + 1e5


def _jpeg(images):
    files = tf.map_fn(lambda image: tf.image.adjust_jpeg_quality(image, 50), images)
    return tf.reshape(files, tf.shape(images))


def _thermometer(images):
    return sum(tf.cast(images > level / 10, tf.float32) for level in range(10)) / 10.0


def _reshaped(function):
    return lambda images: tf.ensure_shape(function(images), images.shape)


DECEIVERS: dict[str, Wrapper] = {
    "gradient of the wrong sign": before(_reversed),
    "random but deterministic gradient": before(_random_backward),
    "stop_gradient plus a decoy": decoy,
    "root, then square": before(lambda x: tf.square(tf.sqrt(x))),
    "x + 0.02 sin(500 x)": before(lambda x: x + 0.02 * tf.sin(500.0 * x)),
    "sigmoid outputs": after(tf.sigmoid),
    "logits x 0.001": after(lambda z: 0.001 * z),
    "logits x 1000": after(lambda z: 1000.0 * z),
    "noise keyed by a hash": hashed_noise,
    "rounding layer": before(lambda x: tf.round(x * 8.0) / 8.0),
    "one of two members masked": masked_member,
    "two of three members masked": masked_members,
    "JPEG": before(_jpeg),
    "thermometer encoding": before(_thermometer),
    "random resizing": resized_at_random,
    "batch-dependent": batch_dependent,
    "dropout at inference": before(lambda x: tf.nn.dropout(x, 0.2)),
    "inner optimization": denoised,
    "half of the classes without gradient": half_of_the_classes,
    "clipped logits": after(lambda z: tf.clip_by_value(z, -3.0, 3.0)),
    "bucketed logits": after(tf.round),
    "tanh of logits": after(tf.tanh),
    "smooth staircase": before(lambda x: tf.stop_gradient(tf.floor(8.0 * x) / 8.0 - 0.05 * x) + 0.05 * x),
    "half of the gradient's signs flipped": before(_half_flipped),
    "a tenth of the gradient": before(_tenth),
    "noise on the gradient": before(_noisy_backward),
    "gradient at the clean images only": gradient_on_the_grid,
    "member hidden, one of five": hidden_member,
    "answers that a detector decides": detector,
    "random answers behind an offset": offset_noise,
    "binarized, straight through": before(_binarized),
}

HONEST: dict[str, Wrapper] = {
    "as it is": lambda logits_fn: logits_fn,
    "8 bits, straight through": before(_on_8_bits),
    "common offset": after(lambda z: z + 1000.0),
    "logits x 0.1": after(lambda z: 0.1 * z),
    "mean of two members": lambda f: lambda x: (f(x) + f(tf.roll(x, 1, axis=1))) / 2.0,
    "float16 answers": after(lambda z: tf.cast(z, tf.float16)),
    "bfloat16 answers": after(lambda z: tf.cast(tf.cast(z, tf.bfloat16), tf.float32)),
}


class Winners(keras.layers.Layer):
    """The largest tenth of the values, and 0 for the others (Xiao, Zhong and Zheng, ICLR 2020, k-winners-take-all)."""

    def call(self, inputs):
        values = tf.reshape(inputs, [-1, int(np.prod(inputs.shape[1:]))])
        least = tf.math.top_k(values, values.shape[1] // 10).values[:, -1:]
        return tf.reshape(tf.where(values >= least, values, 0.0), tf.shape(inputs))


def convolutional(activation) -> keras.Model:
    """A small network for images of 28x28, with these activations."""
    return keras.Sequential(
        [
            keras.Input([28, 28, 1]),
            keras.layers.Conv2D(12, 5, strides=2),
            activation(),
            keras.layers.Conv2D(24, 5, strides=2),
            activation(),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )


def trained(network: keras.Model, images, labels, *, epochs, temperature=1.0, classes=10) -> LogitsFn:
    """Trains a network in place; with a high temperature, the student of defensive distillation without its teacher."""
    keras.utils.set_random_seed(0)

    def loss(labels, logits):
        return keras.losses.sparse_categorical_crossentropy(labels, logits / temperature, from_logits=True)

    network.compile(keras.optimizers.Adam(3e-3), loss)
    network.fit(images, labels % classes, batch_size=50, epochs=epochs, verbose=0)
    return lambda images: network(images, training=False)
