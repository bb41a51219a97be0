"""The flags that say on which devices a program computes."""

import dataclasses
from typing import TYPE_CHECKING

from absl import flags

import tfrobust as tfr
from tfrobust.cli import quiet

if TYPE_CHECKING:  # `--help` does not wait for them
    import tensorflow as tf

STRATEGY = flags.DEFINE_enum(
    "strategy",
    "auto",
    ["auto", "one", "mirrored", "multi_worker"],
    "one device; mirrored: all GPUs of this machine; multi_worker: the machines of TF_CONFIG; "
    "auto: all available devices.",
)
VIRTUAL_DEVICES = flags.DEFINE_integer(
    "virtual_devices",
    None,
    "Split the CPU into this many devices, to try --strategy=mirrored without GPUs.",
    lower_bound=1,
)


@dataclasses.dataclass(frozen=True)
class Devices:
    """On which devices to compute; the attributes are the arguments of `tfrobust.distribution.make_strategy`."""

    strategy: str = "auto"
    virtual_devices: int | None = None

    def start(self) -> "tf.distribute.Strategy":
        """Starts TensorFlow and returns the `tf.distribute.Strategy`. Call it before anything imports TensorFlow.

        Raises:
          InputError: where the devices or TF_CONFIG do not allow it.
        """
        quiet.start_tensorflow()
        return tfr.distribution.make_strategy(self.strategy, self.virtual_devices)


def from_flags() -> Devices:
    """What --strategy and --virtual_devices say."""
    return Devices(STRATEGY.value, VIRTUAL_DEVICES.value)
