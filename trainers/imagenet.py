"""Trains classifiers of photographs: ImageNet, Tiny-ImageNet, or a folder of your own, plainly or with a defense.

    python -m trainers.imagenet --flagfile=trainers/configs/imagenet_resnet18.flags --workdir=runs/resnet18
    python -m trainers.imagenet --flagfile=trainers/configs/imagenet_resnet18_deep_defense.flags \\
        --init_weights=runs/resnet18/model.keras --workdir=runs/resnet18_deep_defense
    python -m trainers.imagenet --flagfile=trainers/configs/photographs_lite0_ace.flags --dataset=FOLDER \\
        --init_weights=lite0.keras --workdir=runs/photographs_ace

--dataset takes any TFDS name with image and label, or a folder of class folders. Images are read while the network trains,
at random crops that are mirrored at random; they are measured at their center. With --ace the U-Net alone is trained,
and the network behind it, given by --init_weights, stays as it is: docs/ace.md.
"""

import dataclasses

from absl import flags

import tfrobust as tfr
from tfrobust.cli import data, devices, program
from trainers import defense_flags, training, training_flags, workdir
from trainers.config import TrainingConfig

DATASET = flags.DEFINE_string(
    "dataset", "imagenet2012", "A TFDS name, a folder of class folders, digits, or an .npz file."
)
MODEL = flags.DEFINE_string("model", "resnet18_imagenet", "A network of tfrobust.models, such as efficientnet_lite0.")
WIDTH = flags.DEFINE_integer("width", None, "Channels of the network's stem; default: the paper's.", lower_bound=1)
MASKS = flags.DEFINE_string("masks", "", "Where the network is masked, such as shallow=0.7: tfrobust/models/masks.py.")
ACE = flags.DEFINE_float(
    "ace",
    None,
    "lam of ACE's U-Net before the network: it alone is trained, by mean squared error; default: none.",
    lower_bound=0.0,
    upper_bound=1.0,
)
AUGMENT = flags.DEFINE_bool("augment", True, "Crop and mirror at random; else at the center.")
RHO_2_EXAMPLES = flags.DEFINE_integer(
    "rho_2_examples", 0, "Test images, from the first on, whose rho_2 under DeepFool is measured.", lower_bound=0
)
DEEPFOOL_BATCH = 25  # images at a time: nine class gradients of each


def main():
    config = training_flags.from_flags(
        DATASET.value,
        AUGMENT.value,
        model=MODEL.value,
        std=None,  # what the network takes, not what the data is like
        width=WIDTH.value,
        masks=MASKS.value,
        ace=ACE.value,
        ace_form="unet",
    )
    if ACE.value is not None:
        config = of_the_enhancer(config)
    source, rho_2_examples = data.from_flags(), RHO_2_EXAMPLES.value
    training.run(
        config,
        devices.from_flags(),
        lambda: load_feeds(config, source),
        lambda network, test: measured(network, test, rho_2_examples),
    )


def of_the_enhancer(config: TrainingConfig) -> TrainingConfig:
    """The configuration that trains the U-Net alone.

    Raises:
      InputError: where a network is to be defended otherwise, too, or none is given that is trained already.
    """
    if config.defense.kind != "none":
        raise tfr.InputError(f"--ace trains the U-Net alone: leave out --defense={config.defense.kind}")
    if not config.network.init_weights:
        raise tfr.InputError("--ace puts a U-Net before a network that is trained already: name it by --init_weights")
    return dataclasses.replace(config, defense=dataclasses.replace(config.defense, kind="enhancer"))


def load_feeds(config: TrainingConfig, source: data.DataSource):
    """The data of a training, in square images of --image_size or, without it, as the network takes them.

    Raises:
      InputError: for data that is not there, or too few examples for the batch or for what is held out.
    """
    from trainers import image_sources
    from trainers.feeds import Feeds
    from trainers.image_pipeline import StreamFeed

    height, width = source.image_size or (None, None)
    if height != width:
        raise tfr.InputError(f"--image_size={height},{width} is not square, as crops are: give one number")
    # Images come as they are, to be cropped at random.
    train, test = image_sources.load(config.dataset, dataclasses.replace(source, image_size=None))
    held_out = config.validation_examples
    if config.early_stop and not held_out:
        raise tfr.InputError("--early_stop chooses by validation accuracy: hold some out by --validation_examples=5000")
    if held_out >= train.examples:
        raise tfr.InputError(f"--validation_examples={held_out} leaves nothing of {train.examples} training examples")
    if config.batch_size > train.examples - held_out:
        raise tfr.InputError(f"--batch_size={config.batch_size} is more than the {train.examples - held_out} examples")
    validation = test
    if held_out:
        train, validation = train.split_off(held_out)
    size = height or image_size(config)
    fitted, watched, measured_on = (StreamFeed(stream, size) for stream in (train, validation, test))
    images, labels = next(iter(fitted.batches()))
    pixels = (images.numpy() * 255).round().astype("uint8")
    return Feeds(fitted, watched, measured_on, tfr.data.Split(pixels, labels.numpy(), train.classes))


def image_size(config: TrainingConfig) -> int:
    """The size of the images that the network of a configuration is made for."""
    weights = config.network.init_weights
    if weights and weights.endswith(".keras"):
        return tfr.targets.load_model(weights).input_shape[1]
    return tfr.models.input_shape(config.network.model)[0]


def measured(network, test, rho_2_examples: int) -> dict[str, float]:
    """The accuracy among the five likeliest classes, and rho_2 of the first test images."""
    import numpy as np

    found = {"top_5_accuracy": workdir.accuracy(network, test, likeliest=5)}
    if not rho_2_examples:
        return found
    shown = [
        (images.numpy(), labels.numpy())
        for images, labels in test.batches().take(-(-rho_2_examples // test.batch_size))
    ]
    images, labels = (np.concatenate(parts)[:rho_2_examples] for parts in zip(*shown, strict=True))
    rho_2, l2 = tfr.evaluation.metrics.deepfool_rho_2(
        lambda x: network(x, training=False),
        images,
        labels,
        origin=tfr.layers.origin(network),
        batch_size=DEEPFOOL_BATCH,
    )
    return found | {"rho_2": float(rho_2.mean()), "l2": float(l2.mean())}


flags.adopt_module_key_flags(training_flags)
for flag, value in ((defense_flags.LAM, 5.0), (defense_flags.C, 500.0), (defense_flags.FROZEN_BATCH_NORM, True)):
    flags.set_default(flag, value)  # the paper's for ImageNet

if __name__ == "__main__":
    program.run(main)
