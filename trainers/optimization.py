"""What is minimized and how: loss, optimizer, its schedule, and the precision of the arithmetic."""

import dataclasses
from typing import TYPE_CHECKING

from tfrobust.errors import InputError

if TYPE_CHECKING:  # `--help` does not wait for them
    import keras

OPTIMIZERS = ("sgd", "adam")
SCHEDULES = ("step", "cosine", "one_cycle")
PRECISIONS = ("float32", "mixed_bfloat16")


@dataclasses.dataclass(frozen=True)
class OptimizationConfig:
    """Loss, optimizer and precision.

    Attributes:
      learning_rate: the initial or, with one_cycle, highest rate.
      schedule: "step", see `learning_rate_drops`; "cosine", which falls to 0; "one_cycle", which rises for the first
        third and then falls as a cosine.
      learning_rate_drops: epochs after which the rate is multiplied by `learning_rate_factor`; they rise.
      momentum: of SGD.
      weight_decay: times each weight, added to its gradient.
      label_smoothing: share of the probability spread over all classes.
      precision: "float32" or "mixed_bfloat16", see `in_precision`.
      optimizer: "sgd" or "adam".
      averaging: momentum of the exponential moving average of the weights that is validated and saved; 0: none is taken
        (Izmailov et al., UAI 2018, and Gowal et al., 2020, section 4.3, of robust networks).

    Raises:
      InputError: for drops that do not rise, or with another schedule than "step".
    """

    learning_rate: float = 5e-4
    schedule: str = "step"
    learning_rate_drops: tuple[int, ...] = ()
    learning_rate_factor: float = 0.5
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    precision: str = "float32"
    optimizer: str = "sgd"
    averaging: float = 0.0

    def __post_init__(self):
        drops = self.learning_rate_drops
        if list(drops) != sorted({*drops}) or min(drops, default=1) < 1:
            raise InputError(f"--learning_rate_drops takes rising epochs, such as 4,8; got {','.join(map(str, drops))}")
        if drops and self.schedule != "step":
            raise InputError(f"--learning_rate_drops belongs to --schedule=step, not to {self.schedule}")


def make_optimizer(config: OptimizationConfig, steps_per_epoch: int, epochs: int) -> "keras.optimizers.Optimizer":
    """SGD with momentum, or Adam, with L2 weight decay and the schedule."""
    import keras

    class InsideTheGradient(keras.optimizers.Optimizer):
        """The decay, as the papers train; Keras' own `weight_decay` bypasses the momentum."""

        def update_step(self, gradient, variable, learning_rate):
            super().update_step(gradient + config.weight_decay * variable, variable, learning_rate)

    class SGD(InsideTheGradient, keras.optimizers.SGD):
        pass

    class Adam(InsideTheGradient, keras.optimizers.Adam):
        pass

    rate = _schedule(config, steps_per_epoch, epochs)
    average = {"use_ema": True, "ema_momentum": config.averaging} if config.averaging else {}
    return Adam(rate, **average) if config.optimizer == "adam" else SGD(rate, momentum=config.momentum, **average)


def _schedule(config, steps_per_epoch, epochs):
    from keras.optimizers import schedules

    rate, steps = config.learning_rate, max(1, steps_per_epoch * epochs)
    if config.schedule == "cosine":
        return schedules.CosineDecay(rate, steps)
    if config.schedule == "one_cycle":
        rise = max(1, steps // 3)
        return schedules.CosineDecay(0.0, max(1, steps - rise), warmup_target=rate, warmup_steps=rise)
    drops = config.learning_rate_drops
    if drops:
        return schedules.PiecewiseConstantDecay(
            [epoch * steps_per_epoch for epoch in drops],
            [rate * config.learning_rate_factor**drop for drop in range(len(drops) + 1)],
        )
    return rate


def make_loss(config: OptimizationConfig) -> "keras.losses.Loss":
    """Cross-entropy of logits and integer labels, smoothed by `label_smoothing`."""
    import keras

    if not config.label_smoothing:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    class SmoothedCrossentropy(keras.losses.Loss):
        def call(self, labels, logits):
            targets = keras.ops.one_hot(keras.ops.reshape(labels, [-1]), logits.shape[-1])
            return keras.losses.categorical_crossentropy(
                targets, logits, from_logits=True, label_smoothing=config.label_smoothing
            )

    return SmoothedCrossentropy()


def in_precision(network: "keras.Model", precision: str) -> "keras.Model":
    """A copy of a network whose layers compute in `precision`, but for preprocessing and logits, in float32.

    Mixed precision is for training alone: exports of such a network give 16-bit logits, or do not run.
    """
    import keras

    sequential = isinstance(network, keras.Sequential)
    exempt = {"preprocessing", *([network.layers[-1].name] if sequential else network.output_names)}

    def clone(layer):
        if isinstance(layer, keras.Model):
            return in_precision(layer, precision)
        policy = "float32" if layer.name in exempt else precision
        return layer.__class__.from_config({**layer.get_config(), "dtype": policy})

    copy = keras.models.clone_model(network, clone_function=clone)
    copy.set_weights(network.get_weights())
    return copy
