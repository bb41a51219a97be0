"""Adversarial training: in every step the network is attacked, and learns from what it was attacked with.

    clean_share * CE(x, y) + (1 - clean_share) * CE(attack(x), y)

Share 0 is Madry et al., ICLR 2018, eq. 2.1; share 0.5 with `fgsm` is Goodfellow et al., ICLR 2015, section 6, which
Deep Defense (Yan, Guo and Zhang, NeurIPS 2018) compares itself with as "Adv. Train II".
"""

import keras
import tensorflow as tf

from tfrobust import attacks, seeds
from tfrobust.errors import InputError


@keras.saving.register_keras_serializable(package="tfrobust")
class AdversarialTraining(keras.Model):
    """A network with adversarial training as its training step. Compile and fit it, then save `.network`.

    The network is attacked as it is at inference. Clean and adversarial images go through it as one batch, so batch
    normalisation sees both. An image has new random draws in each step, the same on however many replicas. In validation
    they are the same each time.

    Reported are the compiled metrics, of the clean images, and `robust_accuracy`, of the adversarial ones. The former
    are taken at inference where clean images are not trained on.

    Args:
      network: a Keras model from images in [0, 1] to logits. It is trained in place.
      attack: one of `tfrobust.attacks`, or its text, which `save` and `get_config` need: "pgd(linf(0.3), steps=40)".
      clean_share: weight of the clean images' loss, in [0, 1).
      seed: of the attack's random draws.

    Raises:
      InputError: for an attack that cannot be parsed, a share outside [0, 1), or when an attack that was not given
        as text is to be saved.

    Example:
      >>> model = AdversarialTraining(network, "fgsm(linf(0.1))", clean_share=0.5)
      >>> model.compile(keras.optimizers.SGD(0.01, momentum=0.9),
      ...               keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
      >>> model.fit(images, labels, batch_size=100, epochs=5)
      >>> model.network.save("model.keras")
    """

    def __init__(self, network, attack, clean_share=0.0, seed=0, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= clean_share < 1:
            raise InputError(f"clean_share is the weight of the clean images' loss, in [0, 1); got {clean_share!r}")
        self.network = network
        self.attack, self.clean_share, self.seed = attack, clean_share, seed
        self.run_attack = attacks.parse(attack) if isinstance(attack, str) else attack
        self.robust_accuracy = keras.metrics.SparseCategoricalAccuracy("robust_accuracy")
        self.build(network.input_shape)

    def call(self, images, training=None):
        return self.network(images, training=training)

    def adversarial(self, images, labels, step=0):
        """The images of a training step: float32 [batch, height, width, channels] in [0, 1], of int labels [batch]."""
        keys = seeds.fold_in(seeds.per_example(self.seed, content(images)), step)
        return self.run_attack(lambda x: self.network(x, training=False), images, labels, seed=keys)

    def train_step(self, data):
        images, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        adversarial = self.adversarial(images, labels, self.optimizer.iterations.value)
        with tf.GradientTape() as tape:
            logits = self._logits(images, adversarial, training=True)
            loss = self._mixed_loss(images, adversarial, labels, logits, sample_weight)
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        return self._updated_metrics(images, labels, logits, sample_weight, loss)

    def test_step(self, data):
        images, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        adversarial = self.adversarial(images, labels)
        logits = self._logits(images, adversarial, training=False)
        loss = self._mixed_loss(images, adversarial, labels, logits, sample_weight)
        return self._updated_metrics(images, labels, logits, sample_weight, loss)

    def _logits(self, images, adversarial, training):
        """Of the clean and of the adversarial images."""
        if self.clean_share:
            return tf.split(self.network(tf.concat([images, adversarial], axis=0), training=training), 2)
        return self.network(images, training=False), self.network(adversarial, training=training)

    def _mixed_loss(self, images, adversarial, labels, logits, sample_weight):
        loss = (1 - self.clean_share) * self.compute_loss(adversarial, labels, logits[1], sample_weight)
        if self.clean_share:
            loss += self.clean_share * self.compute_loss(images, labels, logits[0], sample_weight)
        return loss

    def _updated_metrics(self, images, labels, logits, sample_weight, loss):
        unscaled = loss * tf.distribute.get_strategy().num_replicas_in_sync
        self._loss_tracker.update_state(unscaled, sample_weight=tf.shape(images)[0])
        self.robust_accuracy.update_state(labels, logits[1])
        return self.compute_metrics(images, labels, logits[0], sample_weight)

    def get_config(self):
        if not isinstance(self.attack, str):
            raise InputError(f"to save it, give the attack as text such as 'pgd(linf(0.3))', not as {self.attack}")
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.network),
            "attack": self.attack,
            "clean_share": self.clean_share,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        network = keras.saving.deserialize_keras_object(config.pop("network"))
        return cls(network, **config)


def content(images):
    """A number that stands for an image wherever it is in the data: int32 [batch], to be used as its index.

    Images in [0, 1] are rounded to 16 bits and hashed by the inner product with odd random numbers, modulo 2^32:
    exact, so it depends neither on the batch nor on the device.
    """
    pixels = tf.cast(tf.reshape(images, [tf.shape(images)[0], -1]) * 65535.0, tf.int32)
    factors = tf.random.stateless_uniform(tf.shape(pixels)[1:], [0, 0], None, None, tf.int32)
    return tf.reduce_sum(pixels * (factors | 1), axis=1)
