"""What every training defense is: a Keras model around a network, with losses of its own.

A subclass states its losses. The step that minimizes them, how they are scaled on several replicas, what is reported of
them and how the defense is saved are here.
"""

import abc
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import keras
import tensorflow as tf

from tfrobust.defenses import checks


class Batch(NamedTuple):
    """The examples of one step.

    Attributes:
      images: float32 [batch, height, width, channels] in [0, 1].
      labels: as they were given, int [batch], [batch, 1] or one-hot [batch, classes], what the compiled loss takes.
      sample_weight: [batch], or None.
      adversarial: like the images, what a defense makes of them before gradients are recorded; None if nothing.
    """

    images: tf.Tensor
    labels: tf.Tensor
    sample_weight: tf.Tensor | None
    adversarial: tf.Tensor | None = None

    @property
    def classes(self) -> tf.Tensor:
        """The labels as attacks take them: int32 [batch]."""
        labels = tf.convert_to_tensor(self.labels)
        if labels.shape.rank == 2 and labels.shape[1] != 1:
            return tf.argmax(labels, axis=1, output_type=tf.int32)
        return tf.cast(tf.reshape(labels, [-1]), tf.int32)


class Losses(NamedTuple):
    """What a defense says about one batch.

    Attributes:
      loss: what is minimized: this replica's share of it, so that the sum over all replicas is the whole.
      answers: what the compiled metrics are computed from, the logits of the network; None: they are left out.
      reported: for each of the defense's own metrics by its name, the arguments of its `update_state`.
    """

    loss: tf.Tensor
    answers: object
    reported: dict[str, tuple]


class Defense(keras.Model, abc.ABC):
    """The abstract defense. Compile and fit it, then save `.network`.

    Attributes:
      network: what is trained.
      updates_per_step: of the weights, by a step of training.

    Args:
      network: a Keras model from images in [0, 1] to logits. It is trained in place.
      settings: the other arguments of the subclass, by their names: what `get_config` keeps.
      metrics: the defense's own metrics, reported beside the compiled ones.
    """

    updates_per_step = 1

    def __init__(
        self, network: keras.Model, settings: dict, metrics: Sequence[keras.metrics.Metric] = (), **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.network = network
        self._settings = settings
        self._own_metrics = list(metrics)
        self.build(network.input_shape)  # last: no state can be added to a model that is built

    @abc.abstractmethod
    def losses_of(self, batch: Batch, training: bool) -> Losses:
        """The losses of a batch, differentiable, in training or in validation."""

    def attacked(self, batch: Batch, training: bool) -> Batch:
        """The batch with what the defense makes of it before gradients are recorded."""
        return batch

    def call(self, images, training=None):
        return self.network(images, training=training)

    def fit(self, *args, **kwargs):
        checks.check_loss(self.loss)
        with checks.as_input_errors():
            return super().fit(*args, **kwargs)

    def train_step(self, data):
        batch = self.attacked(Batch(*keras.utils.unpack_x_y_sample_weight(data)), training=True)
        return self._updated_metrics(batch, self.minimize(batch))

    def minimize(self, batch: Batch) -> Losses:
        """One update of the network by the losses of a batch, which it returns."""
        return self._minimize(batch, ())[0]

    def _minimize(self, batch, watched):
        """The same, and the gradients of the loss with respect to other tensors, such as the batch's images."""
        with tf.GradientTape() as tape:
            tape.watch(watched)
            found = self.losses_of(batch, training=True)
            scaled = self.optimizer.scale_loss(found.loss)
        own = self.trainable_variables
        gradients = tape.gradient(scaled, [*own, *watched])
        self.optimizer.apply_gradients(zip(gradients, own))
        return found, gradients[len(own) :]

    def test_step(self, data):
        batch = self.attacked(Batch(*keras.utils.unpack_x_y_sample_weight(data)), training=False)
        return self._updated_metrics(batch, self.losses_of(batch, training=False))

    def _updated_metrics(self, batch, found):
        self._loss_tracker.update_state(unscaled(found.loss), sample_weight=tf.shape(batch.images)[0])
        for metric in self._own_metrics:
            metric.update_state(*found.reported[metric.name])
        if found.answers is None:
            return self.own_results()
        return self.compute_metrics(batch.images, batch.labels, found.answers, batch.sample_weight)

    def label_loss(self, batch: Batch, logits: tf.Tensor) -> tf.Tensor:
        """The compiled loss of logits for the batch's labels, this replica's share, without what layers add for their weights."""
        return self._compile_loss(batch.labels, logits, batch.sample_weight)

    def get_metrics_result(self):
        try:
            return super().get_metrics_result()
        except ValueError:  # Keras asks for all after an epoch; the compiled ones are built by the first validation
            return self.own_results()

    def own_results(self) -> dict:
        """The loss and the defense's own metrics, without the compiled ones."""
        return {metric.name: metric.result() for metric in (self._loss_tracker, *self._own_metrics)}

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.network),
            **self._settings,
        }

    @classmethod
    def from_config(cls, config: dict) -> Self:
        config = dict(config)
        return cls(keras.saving.deserialize_keras_object(config.pop("network")), **config)


def unscaled(loss):
    """The loss over all replicas, of one replica's share: the inverse of what Keras does to a loss."""
    return loss * tf.distribute.get_strategy().num_replicas_in_sync


def scaled(loss):
    """This replica's share of a mean over its examples."""
    return tf.nn.scale_regularization_loss(loss)


def mean(values, sample_weight=None):
    """This replica's share of the mean of values [batch], weighted as Keras' losses are."""
    return scaled(tf.reduce_mean(values if sample_weight is None else values * tf.cast(sample_weight, values.dtype)))
