"""Deep Defense: training that differentiates through DeepFool.

Yan, Guo and Zhang, NeurIPS 2018, eq. 6:

    mean_k CE_k + lam * mean_k R_k    R = exp(-c * rho) where classified correctly, exp(d * rho) where misclassified

with rho = ||delta||_2 / ||x||_2, delta the DeepFool perturbation (to the nearest other class, or to the label where
the image is misclassified) and x the image as the network sees it after preprocessing.
"""

import inspect
from collections.abc import Iterator

import keras
import tensorflow as tf

from tfrobust import balls
from tfrobust.attacks import minimal_perturbation
from tfrobust.attacks.gradient.deepfool import MNIST_TINY
from tfrobust.defenses import checks
from tfrobust.defenses.defense import Batch, Defense, Losses, scaled, unscaled
from tfrobust.layers import preprocessing


@keras.saving.register_keras_serializable(package="tfrobust")
class DeepDefense(Defense):
    """A network with Deep Defense as its training step. Compile and fit it, then save `.network`.

    Batch normalization and dropout are in training mode for the cross-entropy only; perturbations are those of the
    network at inference. With `frozen_batch_norm` both are of the network at inference, if it has batch normalization:
    its means and variances stay those of the pre-trained network, its factors and offsets are learned. The paper counts
    means and variances among what is learned; at inference that adds nothing to learning factors and offsets.

    Reported are the compiled metrics, and the means of `cross_entropy`, of the `regularizer` R and of `rho_2`.

    Args:
      network: a Keras model from images in [0, 1] to logits. It is trained in place.
      lam, c, d: weights of the regularizer; the defaults are the paper's for MNIST and CIFAR-10.
      steps: DeepFool iterations.
      candidates: among how many likeliest classes, the predicted one included, DeepFool looks for the nearest.
      frozen_batch_norm: see above; for fine-tuning in small batches.
      overshoot, tiny: see `minimal_perturbation`; the default of `tiny` is the authors' MNIST value.

    Example:
      >>> model = DeepDefense(network)
      >>> model.compile(keras.optimizers.SGD(5e-4, momentum=0.9),
      ...               keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
      >>> model.fit(images, labels, batch_size=100, epochs=5)
      >>> model.network.save("model.keras")
    """

    def __init__(
        self,
        network,
        lam=15.0,
        c=25.0,
        d=5.0,
        steps=5,
        overshoot=0.02,
        tiny=MNIST_TINY,
        candidates=10,
        frozen_batch_norm=False,
        **kwargs,
    ):
        settings = {"lam": lam, "c": c, "d": d, "steps": steps, "overshoot": overshoot, "tiny": tiny}
        settings |= {"candidates": candidates, "frozen_batch_norm": frozen_batch_norm}
        means = [keras.metrics.Mean(name) for name in ("cross_entropy", "regularizer", "rho_2")]
        super().__init__(network, settings, means, **kwargs)
        self.lam, self.c, self.d = lam, c, d
        self.steps, self.overshoot, self.tiny, self.candidates = steps, overshoot, tiny, candidates
        self.origin = preprocessing.origin(network)
        parts = list(_parts(network))
        frozen = frozen_batch_norm and any(isinstance(part, keras.layers.BatchNormalization) for part in parts)
        self.has_training_mode = not frozen and any(map(_has_training_mode, parts))

    def perturbation_penalty(self, images, labels):
        """The regularizer of each example.

        Args:
          images: float32 [batch, height, width, channels] in [0, 1].
          labels: int [batch].

        Returns:
          (R float32 [batch], rho_2 float32 [batch], clean logits at inference [batch, classes]), all differentiable.
        """
        found = minimal_perturbation(
            lambda x: self.network(x, training=False),
            images,
            labels,
            steps=self.steps,
            overshoot=self.overshoot,
            candidates=self.candidates,
            tiny=self.tiny,
        )
        rho_2 = balls.relative_size(balls.L2, found.delta, images, self.origin)
        correct = tf.argmax(found.logits, axis=1, output_type=tf.int32) == tf.cast(labels, tf.int32)
        return tf.exp(tf.where(correct, -float(self.c), float(self.d)) * rho_2), rho_2, found.logits

    def attacked(self, batch: Batch, training: bool) -> Batch:
        return batch._replace(images=checks.checked_images(batch.images))

    def losses_of(self, batch: Batch, training: bool) -> Losses:
        penalty, rho_2, logits = self.perturbation_penalty(batch.images, batch.classes)
        if training and self.has_training_mode:  # else a second forward pass would say the same
            logits = self.network(batch.images, training=True)
        logits = checks.checked_logits(logits)
        cross_entropy = self.compute_loss(batch.images, batch.labels, logits, batch.sample_weight, training)
        examples = tf.shape(batch.images)[0]
        return Losses(
            loss=cross_entropy + self.lam * scaled(tf.reduce_mean(penalty)),
            answers=logits,
            reported={
                "cross_entropy": (unscaled(cross_entropy), examples),
                "regularizer": (penalty,),
                "rho_2": (rho_2,),
            },
        )


def _parts(layer: keras.Layer) -> Iterator[keras.Layer]:
    """The layers that a network is made of, those inside other layers too, without the models that only hold them."""
    if isinstance(layer, keras.Model):
        held = layer.layers
    else:
        yield layer
        values = [value if isinstance(value, (list, tuple)) else [value] for value in vars(layer).values()]
        held = [part for value in values for part in value if isinstance(part, keras.Layer)]
    for part in held:
        yield from _parts(part)


def _has_training_mode(layer: keras.Layer) -> bool:
    """Whether a layer computes something else in training: by random draws or by moving statistics.

    Either is a variable of a layer that is told whether it trains. A mask is a variable, too, but not told; a dense
    layer is told, but has none.
    """
    return bool(layer.non_trainable_variables) and "training" in inspect.signature(layer.call).parameters
