"""Adversarial training: in every step the network is attacked, and learns from what it was attacked with.

    clean_share * CE(x, y) + (1 - clean_share) * CE(attack(x), y)

Share 0 is Madry et al., ICLR 2018, eq. 2.1; share 0.5 with `fgsm` is Goodfellow et al., ICLR 2015, section 6, which
Deep Defense (Yan, Guo and Zhang, NeurIPS 2018) compares itself with as "Adv. Train II".
"""

import keras
import tensorflow as tf

from tfrobust import attacks, seeds
from tfrobust.defenses import checks
from tfrobust.defenses.defense import Batch, Defense, Losses
from tfrobust.errors import InputError


@keras.saving.register_keras_serializable(package="tfrobust")
class AdversarialTraining(Defense):
    """A network with adversarial training as its training step. Compile and fit it, then save `.network`.

    The network is attacked as it is at inference. Clean and adversarial images go through it as one batch, so batch
    normalization sees both. An image has new random draws in each step, the same on however many replicas. In
    validation they are the same each time.

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
        if not 0 <= clean_share < 1:
            raise InputError(f"clean_share is the weight of the clean images' loss, in [0, 1); got {clean_share!r}")
        robust_accuracy = keras.metrics.SparseCategoricalAccuracy("robust_accuracy")
        settings = {"attack": attack, "clean_share": clean_share, "seed": seed}
        super().__init__(network, settings, [robust_accuracy], **kwargs)
        self.attack, self.clean_share, self.seed = attack, clean_share, seed
        self.run_attack = attacks.parse(attack) if isinstance(attack, str) else attack

    def adversarial(self, images, labels, step=0):
        """The images of a training step: float32 [batch, height, width, channels] in [0, 1], of int labels [batch]."""
        keys = seeds.fold_in(seeds.per_example(self.seed, content(images)), step)
        problem = attacks.Problem(lambda x: self.network(x, training=False), images, labels, keys=keys)
        problem = self.run_attack.posed(problem)
        return problem.shown(self.run_attack.run(problem))  # a plain call would leave what is misclassified alone

    def attacked(self, batch: Batch, training: bool) -> Batch:
        batch = batch._replace(images=checks.checked_images(batch.images))
        step = self.optimizer.iterations.value if training else 0
        return batch._replace(adversarial=self.adversarial(batch.images, batch.classes, step))

    def losses_of(self, batch: Batch, training: bool) -> Losses:
        clean, robust = self._logits(batch, training)
        robust = checks.checked_logits(robust)
        loss = (1 - self.clean_share) * self.compute_loss(batch.adversarial, batch.labels, robust, batch.sample_weight)
        if self.clean_share:
            loss += self.clean_share * self.compute_loss(batch.images, batch.labels, clean, batch.sample_weight)
        return Losses(loss, answers=clean, reported={"robust_accuracy": (batch.classes, robust)})

    def _logits(self, batch, training):
        """Of the clean and of the adversarial images."""
        if self.clean_share:
            both = tf.concat([batch.images, batch.adversarial], axis=0)
            return tf.split(self.network(both, training=training), 2)
        return self.network(batch.images, training=False), self.network(batch.adversarial, training=training)

    def get_config(self):
        if not isinstance(self.attack, str):
            raise InputError(f"to save it, give the attack as text such as 'pgd(linf(0.3))', not as {self.attack}")
        return super().get_config()


def content(images):
    """A number that stands for an image wherever it is in the data: int32 [batch], to be used as its index.

    Images in [0, 1] are rounded to 16 bits and hashed by the inner product with odd random numbers, modulo 2^32:
    exact, so it depends neither on the batch nor on the device.
    """
    pixels = tf.cast(tf.reshape(images, [tf.shape(images)[0], -1]) * 65535.0, tf.int32)
    factors = tf.random.stateless_uniform(tf.shape(pixels)[1:], [0, 0], None, None, tf.int32)
    return tf.reduce_sum(pixels * (factors | 1), axis=1)
