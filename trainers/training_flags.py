"""The flags of every trainer, and the configuration that they say."""

import pathlib

from absl import flags

from tfrobust.cli import data, devices, program
from trainers import defense_flags, optimization_flags
from trainers.config import TrainingConfig
from trainers.networks import NetworkConfig

WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder for flags.txt, model.keras, metrics.json, checkpoints/, tensorboard/.", required=True
)
SEED = flags.DEFINE_integer("seed", 0, "Seed of the initial weights and of the order of the examples.", lower_bound=0)
EPOCHS = flags.DEFINE_integer("epochs", 10, "Passes over the training data; 0 only evaluates.", lower_bound=0)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 100, "Examples per step, over all devices.", lower_bound=1)
VALIDATION_EXAMPLES = flags.DEFINE_integer(
    "validation_examples", 0, "Training examples to hold out; 0 shows the test split's accuracy.", lower_bound=0
)
PERTURBATION_EXAMPLES = flags.DEFINE_integer(
    "perturbation_examples",
    0,
    "Validation examples of which rho_2 and l2 under DeepFool are logged after each epoch.",
    lower_bound=0,
)
WATCH_ATTACK = flags.DEFINE_string(
    "watch_attack",
    None,
    "An attack, such as 'pgd(linf(0.1), steps=10)', under which 200 validation images are classified after each epoch: "
    "watched_robust_accuracy, and pictures in TensorBoard.",
)
EARLY_STOP = flags.DEFINE_integer(
    "early_stop",
    None,
    "Stop after this many epochs without a better validation accuracy, and keep the best.",
    lower_bound=1,
)
INIT_WEIGHTS = flags.DEFINE_string(
    "init_weights",
    None,
    "Start from a .keras file, an .npz of LAYER_kernel, LAYER_bias and mean_image, or an .h5 of weights.",
)
QUANTIZATION_AWARE = flags.DEFINE_bool(
    "quantization_aware",
    False,
    "Train the network of --init_weights as its int8 file will compute, with batch normalization folded in.",
)


def from_flags(dataset: str, augment: bool = False, **network) -> TrainingConfig:
    """What the flags of this module and of a program say.

    Args:
      dataset, augment: what the program's own flags say.
      network: of `NetworkConfig`, likewise.
    """
    return TrainingConfig(
        workdir=pathlib.Path(WORKDIR.value),
        network=NetworkConfig(init_weights=INIT_WEIGHTS.value, quantization_aware=QUANTIZATION_AWARE.value, **network),
        optimization=optimization_flags.from_flags(),
        defense=defense_flags.from_flags(),
        dataset=dataset,
        seed=SEED.value,
        epochs=EPOCHS.value,
        batch_size=BATCH_SIZE.value,
        validation_examples=VALIDATION_EXAMPLES.value,
        early_stop=EARLY_STOP.value,
        perturbation_examples=PERTURBATION_EXAMPLES.value,
        watch_attack=WATCH_ATTACK.value,
        augment=augment,
        flagfile=program.flagfile(),
    )


for module in (optimization_flags, data, devices, defense_flags):  # the order of flags.txt
    flags.adopt_module_key_flags(module)
