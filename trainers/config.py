"""What a trainer was asked to do, as one frozen value: read from the flags once, and passed on."""

import dataclasses
import pathlib

from tfrobust.errors import InputError
from trainers.defense import DefenseConfig
from trainers.networks import NetworkConfig
from trainers.optimization import OptimizationConfig


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """A training. Several of them can run in one process: nothing else decides what a training does.

    Attributes:
      workdir: the folder for what the run leaves.
      network, optimization, defense: what is trained, how, and against what.
      dataset: the name of the data, or an .npz file.
      seed: of the initial weights and of the order of the examples.
      epochs: passes over the training data; 0 only evaluates.
      batch_size: examples per step, over all devices.
      validation_examples: training examples held out; 0: validate on the test split.
      early_stop: stop after this many epochs without a better validation accuracy and keep the best; None: never.
      augment: shift by up to 4 pixels and mirror at random.
      perturbation_examples: validation examples of which rho_2 and l2 under DeepFool are measured after each epoch.
      watch_attack: under which some validation images are classified after each epoch; None: none.
      flagfile: the flags that repeat the run; a workdir takes runs with the same ones only.

    Raises:
      InputError: for averaging and early stopping together.

    Example:
      >>> TrainingConfig(pathlib.Path("runs/lenet"), optimization=OptimizationConfig(learning_rate=0.01), epochs=2)
    """

    workdir: pathlib.Path
    network: NetworkConfig = dataclasses.field(default_factory=NetworkConfig)
    optimization: OptimizationConfig = dataclasses.field(default_factory=OptimizationConfig)
    defense: DefenseConfig = dataclasses.field(default_factory=DefenseConfig)
    dataset: str = "digits"
    seed: int = 0
    epochs: int = 10
    batch_size: int = 100
    validation_examples: int = 0
    early_stop: int | None = None
    augment: bool = False
    perturbation_examples: int = 0
    watch_attack: str | None = None
    flagfile: str = ""

    def __post_init__(self):
        if self.optimization.averaging and self.early_stop:
            raise InputError("--averaging saves the average of the weights, --early_stop those of an epoch: choose one")

    def hyperparameters(self) -> dict[str, bool | float | int | str]:
        """Its numbers and choices by name, as TensorBoard compares runs by them: those that are set."""
        parts = (self.network, self.optimization, self.defense, self)
        values = {field.name: getattr(part, field.name) for part in parts for field in dataclasses.fields(part)}
        values["defense"] = values.pop("kind")
        return {
            name: value
            for name, value in values.items()
            if isinstance(value, bool | float | int | str) and name != "flagfile"
        }
