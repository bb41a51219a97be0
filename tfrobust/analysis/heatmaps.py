"""Where a network's gradients are, and where perturbations of images end up, layer by layer.

    gradients       h^l_ij = sum over images and channels k of |d loss / d x^l_ijk|
    perturbations   h^l_ij = mean over images of the sum over channels k of |x^l_ijk(adversarial) - x^l_ijk(clean)|

x^0 is the image, x^l what layer l gives. ACE, ICLR 2019 submission, appendices B and I.
"""

from collections.abc import Iterable, Sequence

import keras
import numpy as np
import tensorflow as tf

from tfrobust import objectives
from tfrobust.errors import InputError

INPUT = "input"
_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.Conv2DTranspose, keras.layers.DepthwiseConv2D)


def gradient_heatmaps(
    model: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    layers: Iterable[str] | None = None,
    batch_size: int = 100,
) -> dict[str, np.ndarray]:
    """The size of the cross-entropy's gradient at each place of the image and of layers, added up over images.

    Args:
      model: a functional or sequential Keras model from images to logits.
      images: float32 [examples, height, width, channels] in [0, 1].
      labels: int [examples].
      layers: names of layers that give maps; None: all convolutions.
      batch_size: images at a time.

    Returns:
      float64 [height, width] by name, "input" first.

    Raises:
      InputError: for a layer that the model does not have or that gives no map.

    Example:
      >>> gradient_heatmaps(tfrobust.models.ace_toy(), images, labels)["conv1"].shape
      (15, 15)
    """
    names, features = _features(model, layers)

    @tf.function
    def sizes(batch, batch_labels):
        with tf.GradientTape() as tape:
            tape.watch(batch)
            found = features(batch, training=False)
            loss = objectives.cross_entropy(tf.cast(found["logits"], tf.float32), batch_labels)
        gradients = tape.gradient(loss, [batch, *found["maps"]], unconnected_gradients="zero")
        return [tf.reduce_sum(tf.abs(gradient), axis=[0, 3]) for gradient in gradients]

    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(batch_size)
    return _added(names, [sizes(*batch) for batch in batches])


def perturbation_heatmaps(
    model: keras.Model,
    images: np.ndarray,
    adversarial: np.ndarray,
    layers: Iterable[str] | None = None,
    batch_size: int = 100,
) -> dict[str, np.ndarray]:
    """By how much each place of the image and of layers is changed in adversarial images, on average.

    Args:
      model, layers, batch_size: as for `gradient_heatmaps`.
      images, adversarial: float32 [examples, height, width, channels] in [0, 1].

    Returns:
      float64 [height, width] by name, "input" first.

    Raises:
      InputError: as `gradient_heatmaps`, and for images that do not match.

    Example:
      >>> adversarial = tfrobust.attacks.pgd(tfrobust.balls.Linf(8 / 255))(model, images, labels, seed=0)
      >>> perturbation_heatmaps(model, images, adversarial)["input"].shape
      (32, 32)
    """
    if np.shape(images) != np.shape(adversarial):
        raise InputError(
            f"adversarial images must be as the clean ones, {np.shape(images)}; got {np.shape(adversarial)}"
        )
    names, features = _features(model, layers)

    @tf.function
    def sizes(clean, changed):
        both = [[images, *features(images, training=False)["maps"]] for images in (clean, changed)]
        return [tf.reduce_sum(tf.abs(other - one), axis=[0, 3]) for one, other in zip(*both)]

    batches = tf.data.Dataset.from_tensor_slices((images, adversarial)).batch(batch_size)
    added = _added(names, [sizes(*batch) for batch in batches])
    return {name: total / len(images) for name, total in added.items()}


def _features(model, layers):
    """The names of the image and of layers, and a model from images to a dict of those layers' maps and the logits."""
    try:
        inside = {layer.name: layer for layer in model.layers}
        if layers is None:
            layers = [name for name, layer in inside.items() if isinstance(layer, _CONVOLUTIONS)]
        layers = list(layers)
        for name in layers:
            if name not in inside or len(inside[name].output.shape) != 4:
                maps = ", ".join(name for name, layer in inside.items() if len(layer.output.shape) == 4)
                raise InputError(f"{model.name} has no map {name!r}; it has {maps}")
        outputs = [model.get_layer(name).output for name in layers]
        return [INPUT, *layers], keras.Model(model.inputs[0], {"maps": outputs, "logits": model.outputs[0]})
    except AttributeError as error:
        raise InputError(f"{model!r} is no functional or sequential Keras model, whose layers give maps") from error


def _added(names: Sequence[str], batches) -> dict[str, np.ndarray]:
    totals = [np.sum([batch[place] for batch in batches], axis=0, dtype="float64") for place in range(len(names))]
    return dict(zip(names, totals, strict=True))
