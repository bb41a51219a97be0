"""Free adversarial training: one backward pass moves both the weights and the images.

Shafahi et al., NeurIPS 2019, algorithm 1: each batch is replayed m times, and what its images have been moved by goes on
from one replay, and from one batch, to the next. An epoch costs what m epochs of plain training do, so that as many
fewer are trained.
"""

from typing import Any

import keras
import tensorflow as tf

from tfrobust import balls
from tfrobust.attacks import fgsm, parse_ball
from tfrobust.defenses import checks
from tfrobust.defenses.attacking import AttackingDefense
from tfrobust.defenses.defense import Batch, Losses
from tfrobust.errors import InputError


@keras.saving.register_keras_serializable(package="tfrobust")
class FreeAdversarialTraining(AttackingDefense):
    """A network with free adversarial training as its training step. Compile and fit it, then save `.network`.

    Each training step makes `replays` updates: count a schedule of learning rates in those (`updates_per_step`).
    Reported are `robust_accuracy`, in training of the images as they were moved, in validation under FGSM, and in
    validation the compiled metrics of the clean images.

    Args:
      network, seed: see `AttackingDefense`.
      ball: what is trained against, such as "linf(8/255)", or a ball.
      replays: m, 8 in the paper on CIFAR-10, 4 on ImageNet.

    Raises:
      InputError: for a ball that cannot be parsed, or no replay.

    Example:
      >>> model = FreeAdversarialTraining(network, "linf(8/255)", replays=8)
      >>> model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
      >>> model.fit(images, labels, batch_size=128, epochs=10)
      >>> model.network.save("model.keras")
    """

    def __init__(self, network: keras.Model, ball: balls.Ball | str, replays: int = 8, seed: int = 0, **kwargs: Any):
        if replays < 1:
            raise InputError(f"replays is how often a batch is trained on, at least 1; got {replays!r}")
        chosen = parse_ball(ball) if isinstance(ball, str) else ball
        super().__init__(network, str(fgsm(chosen)), seed, **kwargs)
        self._settings = {"ball": str(chosen), "replays": replays, "seed": seed}  # the attack follows from them
        self.ball, self.updates_per_step = chosen, replays
        # What the last batch was moved by; its size is known when it comes. What a larger one has more begins where it is.
        self._moved = tf.Variable(
            tf.zeros([0, *network.input_shape[1:]]),
            shape=[None, *network.input_shape[1:]],
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    def train_step(self, data):
        batch = Batch(*keras.utils.unpack_x_y_sample_weight(data))
        batch = batch._replace(images=checks.checked_images(batch.images))
        known = tf.concat([self._moved.read_value(), tf.zeros_like(batch.images)], axis=0)
        moved = tf.ensure_shape(known[: tf.shape(batch.images)[0]], batch.images.shape)
        for _ in range(self.updates_per_step):
            adversarial = tf.clip_by_value(batch.images + moved, 0.0, 1.0)
            now = batch._replace(adversarial=adversarial)
            found, (gradient,) = self._minimize(now, [adversarial])
            moved = self.ball.project(moved + self.ball.radius * type(self.ball).steepest(gradient))
        self._moved.assign(moved)
        return self._updated_metrics(now, found)

    def losses_of(self, batch: Batch, training: bool) -> Losses:
        robust = checks.checked_logits(self.network(batch.adversarial, training=training))
        loss = self.compute_loss(batch.adversarial, batch.labels, robust, batch.sample_weight)
        clean = None if training else self.network(batch.images, training=False)
        return Losses(loss, clean, {"robust_accuracy": (batch.classes, robust)})
