"""Trains CIFAR-10 networks, with fixed masks or without, behind ACE's module or not, plainly or with a defense.

    python -m trainers.cifar --flagfile=trainers/configs/cifar_cpu_small.flags --workdir=runs/normal
    python -m trainers.cifar --flagfile=trainers/configs/cifar_cpu_small_0.7_shallow.flags --workdir=runs/0.7_shallow
    python -m trainers.cifar --flagfile=trainers/configs/cifar_cpu_small_ace.flags --ace=100 --workdir=runs/ace_100

These narrow networks take about 10 minutes each on two cores. trainers/configs/cifar_random_mask.flags is the paper's
recipe, for a GPU. docs/results.md has the numbers to expect.
"""

from absl import flags

from tfrobust.cli import data, devices, program
from trainers import splits, training, training_flags

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
ACE = flags.DEFINE_float(
    "ace", None, "lam of ACE's checkerboard enhancer behind the preprocessing, inf without its skip; default: none."
)
PADDING = flags.DEFINE_enum(
    "padding", None, ["same", "symmetric"], "Of strided convolutions: TensorFlow's or PyTorch's; default: same."
)
MEMBERS = flags.DEFINE_integer(
    "members", 1, "Networks to train as one ensemble; they differ in masks and initial weights.", lower_bound=1
)
AVERAGE = flags.DEFINE_enum("average", "probabilities", ["logits", "probabilities"], "What an ensemble averages.")
AUGMENT = flags.DEFINE_bool("augment", True, "Shift by up to 4 pixels and mirror at random.")


def main():
    config = training_flags.from_flags(
        DATASET.value,
        AUGMENT.value,
        model=MODEL.value,
        std=1.0,
        width=WIDTH.value,
        masks=MASKS.value,
        ace=ACE.value,
        padding=PADDING.value,
        members=MEMBERS.value,
        average=AVERAGE.value,
    )
    source = data.from_flags()
    training.run(config, devices.from_flags(), lambda: splits.load_feeds(config, source))


flags.adopt_module_key_flags(training_flags)

if __name__ == "__main__":
    program.run(main)
