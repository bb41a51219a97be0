"""Deep Defense: training that differentiates through DeepFool.

Yan, Guo and Zhang, NeurIPS 2018, eq. 6:

    mean_k CE_k + lam * mean_k R_k      R = exp(-c * rho) where the prediction is right, exp(d * rho) where it is wrong

with rho = ||delta||_2 / ||x||_2, delta the DeepFool perturbation (to the nearest other class, or to the label where
the prediction is wrong) and x the image as the network sees it after preprocessing.
"""

import keras
import tensorflow as tf

from tfrobust import balls
from tfrobust.attacks import deepfool
from tfrobust.layers import preprocessing


@keras.saving.register_keras_serializable(package="tfrobust")
class DeepDefense(keras.Model):
    """A network with Deep Defense as its training step. Compile and fit it, then save `.network`.

    Batch normalisation and dropout are in training mode for the cross-entropy only; perturbations are those of the
    network at inference.

    Args:
      network: a Keras model from images in [0, 1] to logits. It is trained in place.
      lam, c, d: weights of the regulariser; the defaults are the paper's for MNIST and CIFAR-10.
      steps: DeepFool iterations.
      tiny: see `minimal_perturbation`; the default is the authors' MNIST value.

    Example:
      >>> model = DeepDefense(network)
      >>> model.compile(keras.optimizers.SGD(5e-4, momentum=0.9),
      ...               keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
      >>> model.fit(images, labels, batch_size=100, epochs=5)
      >>> model.network.save("model.keras")
    """

    def __init__(self, network, lam=15.0, c=25.0, d=5.0, steps=5, overshoot=0.02, tiny=deepfool.MNIST_TINY, **kwargs):
        super().__init__(**kwargs)
        self.network = network
        self.lam, self.c, self.d = lam, c, d
        self.steps, self.overshoot, self.tiny = steps, overshoot, tiny
        self.origin = preprocessing.origin(network)
        self.cross_entropy = keras.metrics.Mean("cross_entropy")
        self.regularizer = keras.metrics.Mean("regularizer")
        self.rho_2 = keras.metrics.Mean("rho_2")
        self.build(network.input_shape)

    def call(self, images, training=None):
        return self.network(images, training=training)

    def perturbation_penalty(self, images, labels):
        """The regulariser of each example.

        Args:
          images: float32 [batch, height, width, channels] in [0, 1].
          labels: int [batch].

        Returns:
          (R float32 [batch], rho_2 float32 [batch], clean logits at inference [batch, classes]), all differentiable.
        """
        found = deepfool.minimal_perturbation(
            lambda x: self.network(x, training=False),
            images,
            labels,
            steps=self.steps,
            overshoot=self.overshoot,
            tiny=self.tiny,
        )
        rho_2 = balls.relative_size(balls.L2, found.delta, images, self.origin)
        right = tf.argmax(found.logits, axis=1, output_type=tf.int32) == tf.cast(labels, tf.int32)
        return tf.exp(tf.where(right, -self.c, self.d) * rho_2), rho_2, found.logits

    def train_step(self, data):
        images, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            penalty, rho_2, logits = self.perturbation_penalty(images, labels)
            if self.network.non_trainable_variables:  # else training mode is no different: no second forward pass
                logits = self.network(images, training=True)
            loss = self.compute_loss(images, labels, logits, sample_weight)
            total = loss + self.lam * tf.nn.scale_regularization_loss(tf.reduce_mean(penalty))
            scaled = self.optimizer.scale_loss(total)
        gradients = tape.gradient(scaled, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        return self._updated_metrics(images, labels, logits, sample_weight, loss, penalty, rho_2)

    def test_step(self, data):
        images, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        penalty, rho_2, logits = self.perturbation_penalty(images, labels)
        loss = self.compute_loss(images, labels, logits, sample_weight, training=False)
        return self._updated_metrics(images, labels, logits, sample_weight, loss, penalty, rho_2)

    def _updated_metrics(self, images, labels, logits, sample_weight, loss, penalty, rho_2):
        cross_entropy = loss * tf.distribute.get_strategy().num_replicas_in_sync
        batch = tf.shape(images)[0]
        self._loss_tracker.update_state(cross_entropy + self.lam * tf.reduce_mean(penalty), sample_weight=batch)
        self.cross_entropy.update_state(cross_entropy, sample_weight=batch)
        self.regularizer.update_state(penalty)
        self.rho_2.update_state(rho_2)
        return self.compute_metrics(images, labels, logits, sample_weight)

    def get_config(self):
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.network),
            "lam": self.lam,
            "c": self.c,
            "d": self.d,
            "steps": self.steps,
            "overshoot": self.overshoot,
            "tiny": self.tiny,
        }

    @classmethod
    def from_config(cls, config):
        network = keras.saving.deserialize_keras_object(config.pop("network"))
        return cls(network, **config)
