"""The flags that say what is minimized and how."""

from absl import flags

from tfrobust.errors import InputError
from trainers.optimization import OPTIMIZERS, PRECISIONS, SCHEDULES, OptimizationConfig

OPTIMIZER = flags.DEFINE_enum("optimizer", "sgd", OPTIMIZERS, "SGD with momentum, or Adam.")
LEARNING_RATE = flags.DEFINE_float("learning_rate", 5e-4, "Initial or, with one_cycle, highest rate.", lower_bound=0.0)
SCHEDULE = flags.DEFINE_enum(
    "schedule",
    "step",
    SCHEDULES,
    "step: see --learning_rate_drops. cosine: falls to 0. one_cycle: rises for the first third, then a cosine.",
)
LEARNING_RATE_DROPS = flags.DEFINE_list(
    "learning_rate_drops", [], "Epochs after which the learning rate is multiplied by --learning_rate_factor."
)
LEARNING_RATE_FACTOR = flags.DEFINE_float(
    "learning_rate_factor", 0.5, "See --learning_rate_drops.", lower_bound=0.0, upper_bound=1.0
)
MOMENTUM = flags.DEFINE_float("momentum", 0.9, "Momentum of SGD.", lower_bound=0.0, upper_bound=1.0)
WEIGHT_DECAY = flags.DEFINE_float("weight_decay", 5e-4, "Times each weight, added to its gradient.", lower_bound=0.0)
LABEL_SMOOTHING = flags.DEFINE_float(
    "label_smoothing", 0.0, "Share of the probability spread over all classes.", lower_bound=0.0, upper_bound=1.0
)
AVERAGING = flags.DEFINE_float(
    "averaging",
    0.0,
    "Momentum of a moving average of the weights, which is what is validated and saved, such as 0.999; 0: none.",
    lower_bound=0.0,
    upper_bound=1.0,
)
PRECISION = flags.DEFINE_enum(
    "precision",
    "float32",
    PRECISIONS,
    "Of the layers while training; preprocessing, logits and what is saved are float32 always.",
)


def from_flags() -> OptimizationConfig:
    """What the flags of this module say.

    Raises:
      InputError: for --learning_rate_drops that are not rising epochs.
    """
    drops = LEARNING_RATE_DROPS.value
    if not all(epoch.isdecimal() for epoch in drops):
        raise InputError(f"--learning_rate_drops takes rising epochs, such as 4,8; got {','.join(drops)}")
    return OptimizationConfig(
        learning_rate=LEARNING_RATE.value,
        schedule=SCHEDULE.value,
        learning_rate_drops=tuple(map(int, drops)),
        learning_rate_factor=LEARNING_RATE_FACTOR.value,
        momentum=MOMENTUM.value,
        weight_decay=WEIGHT_DECAY.value,
        label_smoothing=LABEL_SMOOTHING.value,
        precision=PRECISION.value,
        optimizer=OPTIMIZER.value,
        averaging=AVERAGING.value,
    )
