"""The votes of random points around an image.

    logit_k = log((votes for class k + 1) / (samples + classes))      of points uniform in an l-infinity ball

Cao and Gong, ACSAC 2017, "Mitigating evasion attacks to deep neural networks via region-based classification".
"""

from typing import Any

import keras
from keras import ops

from tfrobust.errors import InputError
from tfrobust.layers.straight_through import straight_through


@keras.saving.register_keras_serializable(package="tfrobust")
class RegionVote(keras.layers.Layer):
    """A network's predictions around each image, as logits: log-probabilities of its votes, none of which is 0.

    Votes have no gradient: the layer has the one of the network at the image itself. Each call makes new draws, and asks
    the network `samples` times and once more.

    Args:
      model: a Keras model from images to logits.
      samples: points around each image.
      radius: of the ball; points outside of [0, 1] are moved to its border.
      seed: of the draws.

    Raises:
      InputError: for samples below 1, or a radius that is not positive.

    Example:
      >>> RegionVote(tfrobust.models.lenet(), samples=10)(images).shape
      TensorShape([3, 10])
    """

    def __init__(self, model: keras.Model, samples: int = 1000, radius: float = 0.02, seed: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        if not (isinstance(samples, int) and samples >= 1):
            raise InputError(f"samples must be a whole number of at least 1, got {samples!r}")
        if not radius > 0:
            raise InputError(f"radius must be positive, got {radius}")
        self.model, self.samples, self.radius, self.seed = model, samples, radius, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images):
        return straight_through(self._votes, lambda x: self.model(x, training=False))(images)

    def _votes(self, images):
        classes = self.model.output_shape[-1]

        def add(_, votes):
            noise = keras.random.uniform(ops.shape(images), -self.radius, self.radius, seed=self.seed_generator)
            logits = self.model(ops.clip(images + noise, 0.0, 1.0), training=False)
            return votes + ops.one_hot(ops.argmax(logits, axis=-1), classes, dtype="float32")

        votes = ops.fori_loop(0, self.samples, add, ops.zeros([ops.shape(images)[0], classes]))
        return ops.log((votes + 1.0) / (self.samples + classes))

    def compute_output_shape(self, input_shape):
        return self.model.compute_output_shape(input_shape)

    def get_config(self):
        options = {"samples": self.samples, "radius": self.radius, "seed": self.seed}
        return {**super().get_config(), "model": keras.saving.serialize_keras_object(self.model), **options}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "model": keras.saving.deserialize_keras_object(config["model"])})
