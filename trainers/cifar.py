"""Trains CIFAR-10 networks, with fixed masks or without, plainly or with a defence.

    python -m trainers.cifar --flagfile=trainers/configs/cifar_cpu_small.flags --workdir=runs/normal
    python -m trainers.cifar --flagfile=trainers/configs/cifar_cpu_small_shallow_0.7.flags --workdir=runs/shallow_0.7

These narrow networks take about 10 minutes each on two cores. trainers/configs/cifar_random_mask.flags is the paper's
recipe, for a GPU. docs/results.md has the numbers to expect.
"""

import dataclasses
import time

from absl import flags

import tfrobust as tfr
from trainers import common, defending, program, strategies

DATASET = flags.DEFINE_string("dataset", "cifar10", "cifar10, or another data set of small images.")
MODEL = flags.DEFINE_string("model", "resnet18", "A network of tfrobust.models, such as resnet18, densenet121, vgg19.")
WIDTH = flags.DEFINE_integer(
    "width", None, "Channels of the network's first stage; default: the paper's.", lower_bound=1
)
MASKS = flags.DEFINE_string(
    "masks",
    "",
    "Where the network is masked, such as shallow=0.7 or 0=0.5,1=0.5,kind=same: see tfrobust/models/masks.py.",
)
MEMBERS = flags.DEFINE_integer(
    "members", 1, "Train so many networks, which differ in masks and initial weights, as one ensemble.", lower_bound=1
)
AVERAGE = flags.DEFINE_enum("average", "probabilities", ["logits", "probabilities"], "What an ensemble averages.")
AUGMENT = flags.DEFINE_bool("augment", True, "Shift by up to 4 pixels and mirror at random.")


def make_network(train):
    """The network or ensemble of the flags, on a new model's weights or those of --init_weights."""
    masks = tfr.models.masks.parse(MASKS.value)
    width = {"width": WIDTH.value} if WIDTH.value else {}
    members = [
        common.make_network(
            MODEL.value, train, std=1.0, insert=dataclasses.replace(masks, seed=masks.seed + member), **width
        )
        for member in range(MEMBERS.value)
    ]
    return tfr.defenses.ensemble(members, AVERAGE.value) if MEMBERS.value > 1 else members[0]


def main():
    import keras

    started = time.monotonic()
    strategy = strategies.make()
    keras.utils.set_random_seed(common.SEED.value)
    train, validation, test = common.load_splits(DATASET.value)
    network = make_network(train)
    augmentation = tfr.data.pad_crop_flip if AUGMENT.value else None
    history = common.fit(strategy, defending.defend, network, train, validation, augmentation)
    if strategies.is_chief(strategy):
        common.finish(network, test, history, started)


flags.adopt_module_key_flags(common)
flags.adopt_module_key_flags(defending)

if __name__ == "__main__":
    program.run(main)
