"""Region-based classification: a network's votes around an image. Cao and Gong, ACSAC 2017."""

import keras

from tfrobust.layers import RegionVote
from tfrobust.models.front import image_shape


def region_vote(model: keras.Model, samples: int = 1000, radius: float = 0.02, seed: int = 0) -> keras.Model:
    """A network that answers with the votes of random points around each image.

    Args:
      model: a Keras model from images to logits, which stays as it is.
      samples, radius, seed: see `RegionVote`.

    Returns:
      A model from images to log-probabilities of the votes. Its gradients are those of `model` at the image itself, since
      votes have none. It answers differently each time, and has no TFLite file.

    Raises:
      InputError: as `RegionVote`, and for a model of unknown input shape.

    Example:
      >>> defended = region_vote(tfrobust.models.resnet18(), samples=100)
    """
    images = keras.Input(image_shape(model), name="image")
    votes = RegionVote(model, samples, radius, seed, name="region_vote")
    return keras.Model(images, votes(images), name=f"{model.name}_region_vote")
