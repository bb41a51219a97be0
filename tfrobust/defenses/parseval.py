"""Parseval training: after each update the kernels are brought nearer to having orthonormal columns.

    W_S <- (1 + beta) W_S - beta W_S W_S^T W_S        for a random set S of a kernel's columns

Cisse et al., ICML 2017, eq. 9 and algorithm 1: a gradient step on |W_S^T W_S - I|^2, which keeps a layer from enlarging
what it is given. A column is what one unit or channel reads: a convolution's kernel is taken as the matrix
[height * width * channels, filters].
"""

import math
from typing import Any

import keras
import tensorflow as tf

from tfrobust.defenses import checks
from tfrobust.defenses.defense import Batch, Defense, Losses
from tfrobust.errors import InputError


@keras.saving.register_keras_serializable(package="tfrobust")
class Parseval(Defense):
    """A network with Parseval training as its training step. Compile and fit it, then save `.network`.

    Args:
      network: a Keras model from images in [0, 1] to logits. It is trained in place.
      beta: of the step toward tightness; Deep Defense takes 1e-4 on MNIST and 3e-4 on CIFAR-10 for comparison.
      share: of a kernel's columns that are chosen for each step.
      seed: of that choice.

    Raises:
      InputError: for a share outside (0, 1] or a negative beta.

    Example:
      >>> model = Parseval(network, beta=1e-4)
      >>> model.compile(keras.optimizers.SGD(5e-4, momentum=0.9),
      ...               keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
      >>> model.fit(images, labels, batch_size=100, epochs=5)
      >>> model.network.save("model.keras")
    """

    def __init__(self, network: keras.Model, beta: float = 1e-4, share: float = 0.3, seed: int = 0, **kwargs: Any):
        if not 0 < share <= 1:
            raise InputError(f"share is that of the columns, above 0 and at most 1; got {share!r}")
        if not beta >= 0:
            raise InputError(f"beta is the size of the step toward tightness, at least 0; got {beta!r}")
        super().__init__(network, {"beta": beta, "share": share, "seed": seed}, **kwargs)
        self.beta, self.share, self.seed = beta, share, seed

    def losses_of(self, batch: Batch, training: bool) -> Losses:
        logits = checks.checked_logits(self.network(batch.images, training=training))
        return Losses(self.compute_loss(batch.images, batch.labels, logits, batch.sample_weight), logits, {})

    def attacked(self, batch: Batch, training: bool) -> Batch:
        return batch._replace(images=checks.checked_images(batch.images))

    def minimize(self, batch: Batch) -> Losses:
        found = super().minimize(batch)
        self.tighten(self.optimizer.iterations.value)
        return found

    def tighten(self, step: int | tf.Tensor) -> None:
        """The step toward tightness, of columns that a number decides."""
        for place, kernel in enumerate(kernels(self.network)):
            columns = kernel.shape[-1]
            draws = tf.random.stateless_uniform([columns], [self.seed * 1000 + place, tf.cast(step, tf.int32)])
            chosen = tf.math.top_k(draws, math.ceil(self.share * columns)).indices
            matrix = tf.reshape(kernel, [-1, columns])
            some = tf.gather(matrix, chosen, axis=1)
            moved = (1 + self.beta) * some - self.beta * some @ tf.matmul(some, some, transpose_a=True)
            changed = tf.tensor_scatter_nd_update(tf.transpose(matrix), chosen[:, None], tf.transpose(moved))
            kernel.assign(tf.reshape(tf.transpose(changed), kernel.shape))


def kernels(network: keras.Model) -> list[keras.Variable]:
    """The trainable kernels of a network, of convolutions and dense layers."""
    return [variable for variable in network.trainable_variables if variable.name == "kernel" and variable.ndim > 1]


def tightness(network: keras.Model) -> list[float]:
    """For each of `kernels`, the Frobenius norm of W^T W - I: 0 where the columns are orthonormal."""
    found = []
    for kernel in kernels(network):
        matrix = tf.reshape(kernel, [-1, kernel.shape[-1]])
        gram = tf.matmul(matrix, matrix, transpose_a=True)
        found.append(float(tf.norm(gram - tf.eye(kernel.shape[-1]))))
    return found
