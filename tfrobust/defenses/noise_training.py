"""Training on images with Gaussian noise, for networks that are to be smoothed (Cohen et al., ICML 2019, section 3.3)."""

from typing import Any

import keras

from tfrobust import seeds
from tfrobust.defenses import checks
from tfrobust.defenses.attacking import content
from tfrobust.defenses.defense import Batch, Defense, Losses
from tfrobust.errors import InputError


@keras.saving.register_keras_serializable(package="tfrobust")
class NoiseTraining(Defense):
    """A network trained on noisy images alone. Compile and fit it, then save `.network`, or certify it by `smoothing`.

    The compiled metrics are those of the noisy images, in training and in validation; an image has new noise in each step, the
    same on however many replicas. Noisy images leave [0, 1]: smoothing asks about such.

    Args:
      network: a Keras model from images in [0, 1] to logits. It is trained in place.
      sigma: standard deviation of the noise, on the [0, 1] pixel scale.
      seed: of the noise.

    Raises:
      InputError: for a sigma that is not positive.

    Example:
      >>> model = NoiseTraining(network, sigma=0.25)
      >>> model.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
      >>> model.fit(images, labels, batch_size=100, epochs=5)
    """

    def __init__(self, network: keras.Model, sigma: float, seed: int = 0, **kwargs: Any):
        if not sigma > 0:
            raise InputError(f"sigma is a positive standard deviation on the [0, 1] pixel scale; got {sigma!r}")
        super().__init__(network, {"sigma": sigma, "seed": seed}, **kwargs)
        self.sigma, self.seed = sigma, seed

    def attacked(self, batch: Batch, training: bool) -> Batch:
        images = checks.checked_images(batch.images)
        step = self.optimizer.iterations.value if training else 0
        keys = seeds.fold_in(seeds.per_example(self.seed, content(images)), step)
        return batch._replace(images=images + self.sigma * seeds.normal(keys, images.shape[1:]))

    def losses_of(self, batch: Batch, training: bool) -> Losses:
        logits = checks.checked_logits(self.network(batch.images, training=training))
        return Losses(self.compute_loss(batch.images, batch.labels, logits, batch.sample_weight), logits, {})
