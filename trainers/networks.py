"""The network that a configuration asks for: new, or with given weights; alone, or as an ensemble."""

import dataclasses
from typing import TYPE_CHECKING

import tfrobust as tfr
from tfrobust.errors import InputError

if TYPE_CHECKING:  # `--help` does not wait for them
    import keras

CALIBRATION_EXAMPLES = 500  # which set the first ranges of quantization-aware training
ACE_NEEDS_NORMALIZATION = 10.0


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """A network, or an ensemble of several.

    Attributes:
      model: a network of `tfrobust.models`; ignored where `init_weights` is a .keras file.
      init_weights: a .keras file; an .npz of LAYER_kernel, LAYER_bias and mean_image; or an .h5 file of weights. None:
        new weights.
      std: what a new network divides its input by, after it subtracted the training set's mean image; None: the
        preprocessing that the network of `tfrobust.models` has by default.
      width: channels of the first stage; None: the paper's.
      masks: where the network is masked, as `tfrobust.models.build` takes it.
      ace: lam of ACE's module; None: there is none.
      padding: of convolutions with strides, "same" or "symmetric"; None: the network's own.
      members: the networks of an ensemble, which differ in masks and initial weights; 1: no ensemble.
      average: what an ensemble averages, "logits" or "probabilities".
      ace_form: "two_layers", behind the preprocessing of a new network, or "unet", before any.
      quantization_aware: whether the network, which must have `init_weights`, computes as its int8 file will.
    """

    model: str = "lenet"
    init_weights: str | None = None
    std: float | None = 1 / 255
    width: int | None = None
    masks: str = ""
    ace: float | None = None
    padding: str | None = None
    members: int = 1
    average: str = "probabilities"
    ace_form: str = "two_layers"
    quantization_aware: bool = False


def make_network(config: NetworkConfig, train: "tfr.data.Split", seed: int = 0) -> "keras.Model":
    """The Keras model of a configuration, from images to logits.

    Args:
      config: what to make.
      train: the training split, which decides sizes and mean image.
      seed: of the initial weights, through Keras' global generators, which it sets.

    Raises:
      InputError: if the weights cannot be read or do not fit the network or the data.
    """
    import keras

    if config.quantization_aware and not config.init_weights:
        raise InputError("--quantization_aware goes on with a trained network: name it by --init_weights")
    keras.utils.set_random_seed(seed)
    members = [_make_member(config, train, member) for member in range(config.members)]
    if config.quantization_aware:
        members = [_aware(member, train) for member in members]
    if config.ace is not None and config.ace_form == "unet":
        members = [tfr.models.with_ace(member, config.ace, config.ace_form) for member in members]
    return members[0] if config.members == 1 else tfr.defenses.ensemble(members, config.average)


def _aware(member, train):
    """The member as its int8 file computes; one that does so already goes on as it is."""
    if tfr.models.is_aware(member):
        return member
    return tfr.models.quantization_aware(member, train.take(CALIBRATION_EXAMPLES).floats())


def _make_member(config, train, member):
    if config.init_weights and config.init_weights.endswith(".keras"):
        if config.ace is not None and config.ace_form == "two_layers":
            raise InputError(f"--ace trains a new network behind ACE's module: {config.init_weights} is one already")
        return _load_network(config.init_weights, train)
    arguments = {"width": config.width} if config.width else {}
    if config.masks:
        placement = tfr.models.masks.parse(config.masks)
        arguments["masks"] = dataclasses.replace(placement, seed=placement.seed + member)
    if config.padding is not None:
        arguments["padding"] = config.padding
    shape, weights = train.images.shape[1:], config.init_weights
    arrays = tfr.data.read_arrays(weights) if weights and weights.endswith(".npz") else None
    if config.ace_form == "two_layers":
        arguments["ace"] = config.ace
    arguments |= {"input_shape": shape, "classes": train.classes}
    if config.std is not None:
        arguments |= {"mean": _mean(arrays, train, shape, config), "std": config.std}
    try:
        network = tfr.models.build(config.model, **arguments)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{config.model} does not fit images of {shape}: {error}") from error
    _check_ace(config, network)
    if arrays is not None:
        try:
            tfr.models.assign(network, arrays)
        except InputError as error:
            raise InputError(f"{config.model} with {weights} does not fit images of {shape}: {error}") from error
    elif weights:
        tfr.models.load_weights(network, weights)
    return network


def _check_ace(config, network):
    """Refuses what did not train: a network without batch normalization behind a large lam."""
    import keras

    normalized = any(isinstance(layer, keras.layers.BatchNormalization) for layer in network.layers)
    if config.ace is not None and config.ace >= ACE_NEEDS_NORMALIZATION and not normalized:
        raise InputError(
            f"--ace={config.ace:g}: {config.model} has no batch normalization, and such networks did not train with a "
            f"lam of {ACE_NEEDS_NORMALIZATION:g} and above: choose a smaller one, or a network such as resnet18 or vgg11"
        )


def _mean(arrays, train, shape, config):
    """The mean image of the weights' file or, where it has none, of the training images."""
    if arrays is None or "mean_image" not in arrays:
        return train.mean_image()
    try:
        return arrays["mean_image"].reshape(shape) / 255
    except ValueError as error:
        raise InputError(f"{config.init_weights} does not fit images of {shape}: its mean_image: {error}") from error


def _load_network(path, train):
    network = tfr.targets.load_model(path)
    tfr.targets.KerasTarget(network, path).check(train.images)
    if network.output_shape[-1] < train.classes:
        raise InputError(f"{path} has {network.output_shape[-1]} classes, the data {train.classes}")
    tfr.targets.check_logits(network.predict(train.take(16).floats(), verbose=0), path)
    return network
