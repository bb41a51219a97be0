"""Small classifiers with known answers."""

import numpy as np
import tensorflow as tf


def two_class_linear(weights, bias=0.0):
    """Logits (f, 0) with f = <weights, image> + bias: the boundary is |f| / ||weights|| away."""
    weights = tf.constant(weights, tf.float32)

    def logits_fn(images):
        score = tf.reduce_sum(images * weights, axis=list(range(1, len(images.shape)))) + bias
        return tf.stack([score, tf.zeros_like(score)], axis=1)

    return logits_fn


def random_images(count, shape=(6, 5, 3), seed=0, low=0.2, high=0.8):
    """float32 [count, *shape] away from the limits of [0, 1]; not square, so that mixed-up axes show."""
    return np.random.default_rng(seed).uniform(low, high, (count, *shape)).astype("float32")


def smooth_network(shape=(6, 5, 3), classes=4, seed=0):
    """A small Keras network without kinks, and random images that it is attacked on with its own labels."""
    import keras

    keras.utils.set_random_seed(seed)
    network = keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Conv2D(8, 3, activation="tanh", padding="same"),
            keras.layers.Flatten(),
            keras.layers.Dense(16, activation="tanh"),
            keras.layers.Dense(classes, kernel_initializer=keras.initializers.RandomNormal(stddev=1.0)),
        ]
    )
    return network


def compiled(model, rate=0.1, eager=True):
    """A model for SGD on logits. Eager where a step or two are taken: tracing takes longer than they do."""
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate), loss, metrics=["accuracy"], run_eagerly=eager)
    return model
