"""Pixel deflection: random pixels replaced where a network does not look, then denoised. Prakash et al., CVPR 2018."""

import keras

from tfrobust.errors import InputError
from tfrobust.layers import ActivationMap, PixelDeflection
from tfrobust.models.front import image_shape, put_before


def pixel_deflection(
    model: keras.Model,
    deflections: int = 100,
    window: int = 10,
    sigma: float = 0.04,
    activation_map: bool = True,
    seed: int = 0,
) -> keras.Model:
    """A network that sees its images with some pixels replaced by others near them, and denoised.

    Args:
      model: a Keras model from images to logits, which stays as it is.
      deflections, window, sigma, seed: see `PixelDeflection`.
      activation_map: whether pixels are replaced less where the network looks, by its class activation maps. It then
        runs twice, and must end with a global average pooling and one dense layer.

    Returns:
      A model from images to what `model` gives. It has gradients, for `expectation(ATTACK, samples)`, and no TFLite file.

    Raises:
      InputError: as `PixelDeflection`, and for a network that has no class activation maps or no known input shape.

    Example:
      >>> defended = pixel_deflection(tfrobust.models.resnet18())
    """
    deflect = PixelDeflection(deflections, window, sigma, seed, name="pixel_deflection")
    if not activation_map:
        return put_before(model, deflect, "pixel_deflection")
    shape = image_shape(model)
    network = _with_maps(model)
    images = keras.Input(shape, name="image")
    height, width, _ = shape
    if height is None or width is None:
        raise InputError(
            f"{model.name} takes images of any size, its activation maps need one: use activation_map=False"
        )
    importance = ActivationMap((height, width), name="activation_map")(network(images))
    logits, _ = network(deflect([images, importance]))
    return keras.Model(images, logits, name=f"{model.name}_pixel_deflection")


def _with_maps(model):
    """A model from images to logits and each class's activation map, which is the dense layer at every place."""
    try:
        dense = model.layers[-1]
        pooling = dense._inbound_nodes[0].parent_nodes[0].operation
        if isinstance(dense, keras.layers.Dense) and isinstance(pooling, keras.layers.GlobalAveragePooling2D):
            outputs = [model.outputs[0], dense(pooling.input)]
            return keras.Model(model.inputs[0], outputs, name=model.name)
    except (AttributeError, IndexError):  # no functional model, or too few layers
        pass
    raise InputError(
        f"{model.name} has no class activation maps: it does not end with a global average pooling and one dense layer; "
        "use activation_map=False"
    )
