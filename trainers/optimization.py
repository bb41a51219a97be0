"""The flags that say what is minimised and how: loss, SGD, its schedule, and the precision of the arithmetic."""

from absl import flags

from tfrobust.errors import InputError

LEARNING_RATE = flags.DEFINE_float("learning_rate", 5e-4, "Initial or, with one_cycle, highest rate.", lower_bound=0.0)
SCHEDULE = flags.DEFINE_enum(
    "schedule",
    "step",
    ["step", "cosine", "one_cycle"],
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
PRECISION = flags.DEFINE_enum(
    "precision",
    "float32",
    ["float32", "mixed_bfloat16"],
    "Of the layers while training; preprocessing, logits and what is saved are float32 always.",
)


def make_optimizer(steps_per_epoch, epochs):
    """SGD with momentum, L2 weight decay and the schedule, from the flags."""
    import keras

    class SGD(keras.optimizers.SGD):
        """With the decay inside the gradient, as the papers train; Keras' own `weight_decay` bypasses the momentum."""

        def update_step(self, gradient, variable, learning_rate):
            super().update_step(gradient + WEIGHT_DECAY.value * variable, variable, learning_rate)

    return SGD(_schedule(steps_per_epoch, epochs), momentum=MOMENTUM.value)


def _schedule(steps_per_epoch, epochs):
    from keras.optimizers import schedules

    rate, steps = LEARNING_RATE.value, max(1, steps_per_epoch * epochs)
    drops = [int(epoch) if epoch.isdecimal() else 0 for epoch in LEARNING_RATE_DROPS.value]
    if drops != sorted({*drops} - {0}):
        raise InputError(f"--learning_rate_drops takes rising epochs, such as 4,8; got {LEARNING_RATE_DROPS.value}")
    if drops and SCHEDULE.value != "step":
        raise InputError(f"--learning_rate_drops belongs to --schedule=step, not to {SCHEDULE.value}")
    if SCHEDULE.value == "cosine":
        return schedules.CosineDecay(rate, steps)
    if SCHEDULE.value == "one_cycle":
        rise = max(1, steps // 3)
        return schedules.CosineDecay(0.0, max(1, steps - rise), warmup_target=rate, warmup_steps=rise)
    if drops:
        return schedules.PiecewiseConstantDecay(
            [epoch * steps_per_epoch for epoch in drops],
            [rate * LEARNING_RATE_FACTOR.value**drop for drop in range(len(drops) + 1)],
        )
    return rate


def make_loss():
    """Cross-entropy of logits and integer labels, smoothed by --label_smoothing."""
    import keras

    if not LABEL_SMOOTHING.value:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    class SmoothedCrossentropy(keras.losses.Loss):
        def call(self, labels, logits):
            targets = keras.ops.one_hot(keras.ops.reshape(labels, [-1]), logits.shape[-1])
            return keras.losses.categorical_crossentropy(
                targets, logits, from_logits=True, label_smoothing=LABEL_SMOOTHING.value
            )

    return SmoothedCrossentropy()


def in_precision(network, precision):
    """A copy of a network whose layers compute in `precision`, but for preprocessing and logits, in float32.

    Mixed precision is for training alone: exports of such a network give 16-bit logits, or do not run.
    """
    import keras

    exempt = {"preprocessing", *network.output_names}

    def clone(layer):
        if isinstance(layer, keras.Model):
            return in_precision(layer, precision)
        policy = "float32" if layer.name in exempt else precision
        return layer.__class__.from_config({**layer.get_config(), "dtype": policy})

    copy = keras.models.clone_model(network, clone_function=clone)
    copy.set_weights(network.get_weights())
    return copy
