"""The checkerboard enhancer of ACE in front of a network: from the start, by its builder, or before one that is there.

ACE, ICLR 2019 submission, section 4.
"""

import dataclasses
from collections.abc import Sequence

import keras

from tfrobust.errors import InputError
from tfrobust.layers import CheckerboardEnhancer, Standardize, UNetEnhancer
from tfrobust.layers.ace import Enhancer
from tfrobust.models.front import put_before
from tfrobust.models.insert import NOTHING, Insert, Place

FORMS = {"two_layers": CheckerboardEnhancer, "unet": UNetEnhancer}
NAME = "ace"


@dataclasses.dataclass(frozen=True)
class Ace(Insert):
    """The two-layer module behind a network's preprocessing, beside whatever else is inserted.

    Attributes:
      lam: see `CheckerboardEnhancer`.
      others: what is inserted between the layers, such as masks.

    Example:
      >>> resnet18(insert=Ace(10.0, masks.parse("shallow=0.7"))).get_layer("ace").initial_lam
      10.0
    """

    lam: float = 10.0
    others: Insert = NOTHING

    def opening(self) -> Sequence[keras.Layer]:
        return [CheckerboardEnhancer(self.lam, name=NAME), *self.others.opening()]

    def layers(self, place: Place) -> Sequence[keras.Layer]:
        return self.others.layers(place)

    def channels(self, channels: int, place: Place) -> int:
        return self.others.channels(channels, place)

    def named_blocks(self) -> Sequence[int | str]:
        return self.others.named_blocks()

    def __str__(self):
        return str(self.others)


def with_ace(model: keras.Model, lam: float | None = None, form: str = "two_layers") -> keras.Model:
    """Puts a checkerboard enhancer in front of a network, which stays as it is: they share its layers.

    The two-layer form stands behind the network's own `Standardize` layer, if it has one; else, and in the U-Net form,
    the module is the first layer: it sees images as the network takes them. Layers that are frozen stay so.

    Args:
      model: a Keras model from one batch of images to logits; of any make, whose input shape is known.
      lam: how much of the image goes through the module; None: 10 or, of the U-Net form, 0.99. It is the weight
        `lam` of the layer "ace", see `enhancer`.
      form: "two_layers", to train with the network, or "unet", for a network that is trained already: see
        `CheckerboardEnhancer` and `UNetEnhancer`.

    Returns:
      A model of the same images and logits.

    Raises:
      InputError: for an unknown form, a lam that the form does not take, a model that has a module
        already, or one without a known input shape.

    Example:
      >>> defended = with_ace(tfrobust.models.resnet18(), lam=10.0)
      >>> enhancer(defended).set_lam(100.0)
    """
    if form not in FORMS:
        raise InputError(f"ACE has the forms {', '.join(FORMS)}; got {form!r}")
    if _enhancers(model):
        raise InputError(f"{model.name} has an ACE module already: change its lam by enhancer(model).set_lam")
    module = FORMS[form](**({} if lam is None else {"lam": lam}), name=NAME)
    if form == "two_layers" and _begins_with_standardize(model):

        def call(layer, *arguments, **keywords):
            y = layer(*arguments, **keywords)
            return module(y) if isinstance(layer, Standardize) else y

        return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)
    return put_before(model, module, NAME)


def enhancer(model: keras.Model) -> Enhancer:
    """The checkerboard enhancer of a model, also one that was saved and loaded.

    Raises:
      InputError: for a model that has none.

    Example:
      >>> enhancer(build("vgg11", ace=10.0)).set_lam(20.0)
    """
    found = _enhancers(model)
    if not found:
        raise InputError(f"{model.name} has no ACE module: build it with ace=10.0, or put one before it by with_ace")
    return found[0]


def _enhancers(model):
    return [layer for layer in model._flatten_layers() if isinstance(layer, Enhancer)]


def _begins_with_standardize(model):
    """Whether preprocessing is one of a functional model's own layers, and not inside one of them."""
    first = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)][:1]
    return not isinstance(model, keras.Sequential) and any(isinstance(layer, Standardize) for layer in first)
