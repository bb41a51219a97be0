"""Adversarial training: in every step the network is attacked, and learns from what it was attacked with.

    clean_share * CE(x, y) + (1 - clean_share) * CE(attack(x), y)

Share 0 is Madry et al., ICLR 2018, eq. 2.1; share 0.5 with `fgsm` is Goodfellow et al., ICLR 2015, section 6, which
Deep Defense (Yan, Guo and Zhang, NeurIPS 2018) compares itself with as "Adv. Train II". One step of PGD from a random
start is Wong, Rice and Kolter, ICLR 2020.
"""

from typing import Any

import keras
import tensorflow as tf

from tfrobust import balls
from tfrobust.attacks import PGD, Attack, parse_ball
from tfrobust.defenses import checks
from tfrobust.defenses.attacking import AttackingDefense
from tfrobust.defenses.defense import Batch, Losses
from tfrobust.errors import InputError


@keras.saving.register_keras_serializable(package="tfrobust")
class AdversarialTraining(AttackingDefense):
    """A network with adversarial training as its training step. Compile and fit it, then save `.network`.

    Clean and adversarial images go through the network as one batch, so batch normalization sees both. Reported are the
    compiled metrics, of the clean images, and `robust_accuracy`, of the adversarial ones. The former are taken at
    inference where clean images are not trained on.

    Args:
      network, attack, seed: see `AttackingDefense`.
      clean_share: weight of the clean images' loss, in [0, 1).

    Raises:
      InputError: as `AttackingDefense`, and for a share outside [0, 1).

    Example:
      >>> model = AdversarialTraining(network, "fgsm(linf(0.1))", clean_share=0.5)
      >>> model.compile(keras.optimizers.SGD(0.01, momentum=0.9),
      ...               keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
      >>> model.fit(images, labels, batch_size=100, epochs=5)
      >>> model.network.save("model.keras")
    """

    def __init__(
        self, network: keras.Model, attack: Attack | str, clean_share: float = 0.0, seed: int = 0, **kwargs: Any
    ):
        if not 0 <= clean_share < 1:
            raise InputError(f"clean_share is the weight of the clean images' loss, in [0, 1); got {clean_share!r}")
        super().__init__(network, attack, seed, {"clean_share": clean_share}, **kwargs)
        self.clean_share = clean_share

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


@keras.saving.register_keras_serializable(package="tfrobust")
class FastAdversarialTraining(AdversarialTraining):
    """Adversarial training on one step from a random start: two passes instead of PGD's many (Wong, Rice and Kolter, ICLR 2020).

    Its training can collapse within an epoch, so that FGSM breaks nothing and PGD everything, which its own
    `robust_accuracy` does not show: fit it with `tfrobust.callbacks.CatastrophicOverfitting`. Clean images are classified
    in validation alone.

    Args:
      network, seed: see `AttackingDefense`.
      ball: what is trained against, such as "linf(8/255)", or a ball.
      step_size: of the step, in radii; algorithm 3 takes 1.25, of the weakest attack that starts at random.

    Example:
      >>> model = FastAdversarialTraining(network, "linf(8/255)")
      >>> model.compile(optimizer, loss, metrics=["accuracy"])
      >>> model.fit(images, labels, epochs=15, callbacks=[CatastrophicOverfitting("linf(8/255)", images[:500], labels[:500])])
    """

    def __init__(
        self, network: keras.Model, ball: balls.Ball | str, step_size: float = 1.25, seed: int = 0, **kwargs: Any
    ):
        ball = parse_ball(ball) if isinstance(ball, str) else ball
        attack = PGD(ball, steps=1, step_size=step_size * ball.radius, keep="last")
        super().__init__(network, str(attack), seed=seed, **kwargs)
        self._settings = {"ball": str(ball), "step_size": step_size, "seed": seed}  # the attack follows from them

    def _logits(self, batch, training):
        robust = self.network(batch.adversarial, training=training)
        return None if training else self.network(batch.images, training=False), robust
