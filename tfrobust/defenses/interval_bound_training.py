"""Interval bound training: the worst logits that interval bounds allow are to be the label's, too.

    (1 - s) * loss(logits) + s * CE(margins within epsilon)                                             eq. 12

Gowal et al., arXiv 1810.12715. Both epsilon and s are 0 at first, then grow linearly to their values (section 3.3).
"""

from typing import Any

import keras
import tensorflow as tf

from tfrobust.defenses import checks
from tfrobust.defenses.defense import Batch, Defense, Losses, mean
from tfrobust.errors import InputError
from tfrobust.models.interval_bounds import IntervalBounds, hold


@keras.saving.register_keras_serializable(package="tfrobust")
class IntervalBoundTraining(Defense):
    """A network trained to be certified by `IntervalBounds`. Compile and fit it, then save `.network`.

    Reported are the compiled metrics, of the clean images, and `certified_accuracy`: in training within the epsilon of the
    step, in validation within `radius`. Bounds are of the network as it is at inference: with batch normalization they
    lag behind, so networks without it are better off.

    Args:
      network: a Keras model from images in [0, 1] to logits, of layers whose bounds are known. It is trained in place.
      radius: linf, on the [0, 1] pixel scale.
      warm_up: updates with epsilon 0; 2,000 in the paper's MNIST settings.
      ramp: updates in which epsilon grows to `radius`, and s to its value; 10,000 there.
      clean_share: 1 - s at the end, kappa in the paper.

    Raises:
      InputError: for a network that has no bounds, and for a radius, numbers of updates or a share that make no sense.

    Example:
      >>> model = IntervalBoundTraining(network, 0.1, warm_up=600, ramp=3000)
      >>> model.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
      >>> model.fit(images, labels, batch_size=100, epochs=20)
    """

    def __init__(
        self,
        network: keras.Model,
        radius: float,
        warm_up: int = 2000,
        ramp: int = 10_000,
        clean_share: float = 0.5,
        **kwargs: Any,
    ):
        if not 0 < radius <= 1:
            raise InputError(f"a linf radius to certify is above 0 and at most 1, such as 0.1; got {radius!r}")
        if not (warm_up >= 0 and ramp >= 1):
            raise InputError(f"warm_up and ramp are numbers of updates, such as 600 and 3000; got {warm_up}, {ramp}")
        if not 0 <= clean_share < 1:
            raise InputError(f"clean_share is at least 0 and below 1; got {clean_share!r}")
        bounds = IntervalBounds(network)
        settings = {"radius": radius, "warm_up": warm_up, "ramp": ramp, "clean_share": clean_share}
        super().__init__(network, settings, [keras.metrics.Mean("certified_accuracy")], **kwargs)
        self._bounds = bounds
        self.radius, self.warm_up, self.ramp, self.clean_share = radius, warm_up, ramp, clean_share

    def progress(self, training: bool) -> tf.Tensor | float:
        """How far epsilon and s have grown, from 0 to 1."""
        if not training:
            return 1.0
        return tf.clip_by_value(
            (tf.cast(self.optimizer.iterations.value, tf.float32) - self.warm_up) / self.ramp, 0.0, 1.0
        )

    def losses_of(self, batch: Batch, training: bool) -> Losses:
        images = checks.checked_images(batch.images)
        logits = checks.checked_logits(self.network(images, training=training))
        progress = self.progress(training)
        margins = self._bounds.margins(images, batch.classes, self.radius * progress)
        worst = tf.nn.sparse_softmax_cross_entropy_with_logits(batch.classes, margins)
        share = (1.0 - self.clean_share) * progress
        label_loss = self.compute_loss(images, batch.labels, logits, batch.sample_weight)
        certified = tf.cast(hold(margins, batch.classes), tf.float32)
        loss = (1.0 - share) * label_loss + share * mean(worst, batch.sample_weight)
        return Losses(loss, logits, {"certified_accuracy": (certified,)})
