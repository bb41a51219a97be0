"""How models are evaluated: one frozen value, read in one place and passed on."""

import dataclasses
import os
from typing import Any, Literal, Self

from tfrobust.attacks import Attack, parse
from tfrobust.errors import InputError
from tfrobust.evaluation.shard import Shard


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """What an evaluation depends on beside the model, the data and the attacks.

    Attributes:
      seed: of all random draws; each example folds in its position.
      batch_size: examples at a time, which decide the peak memory; None: 100, or as many as are 16 MiB of floats, such as
        27 of 224x224x3. Results do not depend on it but for the rounding of kernels. Called in the scope
        of a `tf.distribute` strategy in which the model was made, attacks compute on all of its devices.
      dataset: the data's name, for the report.
      progress: show a progress bar for each attack.
      pixels: "float", or "uint8" for images that arrive as files: the attacker's images are rounded to 8 bits before the
        model sees them, in every attack's own test of success, and gradients pass straight through the rounding.
      draws: of a model that answers differently each time, how often it is asked about an image at most: 20 times, and
        further where these do not tell whether most of its answers are right.
      active_checks: make the checks that ask the model beyond what the attacks did (docs/report.md); None: of models
        in this process whose gradients are known, a TFLite file's by its own graph.
      trained_with: the attack that the model was trained with, where there was one, such as "pgd(linf(8/255))".
      finished: a folder for the batches that are finished: called again after a stop, it goes on from there. None
        keeps nothing.
      shard: which part of a larger evaluation the images are: see `tfrobust.evaluation.shards`.

    Example:
      >>> EvaluationConfig(seed=1).changed(progress=False)
      EvaluationConfig(seed=1, batch_size=None, dataset=None, progress=False, pixels='float', draws=100, ...)
    """

    seed: int = 0
    batch_size: int | None = None
    dataset: str | None = None
    progress: bool = True
    pixels: Literal["float", "uint8"] = "float"
    draws: int = 100
    active_checks: bool | None = None
    finished: str | os.PathLike | None = None
    trained_with: Attack | str | None = None
    shard: Shard = Shard()  # noqa: RUF009, it is a tuple

    def __post_init__(self):
        if isinstance(self.trained_with, str):
            object.__setattr__(self, "trained_with", parse(self.trained_with))
        if self.batch_size is not None and self.batch_size < 1:
            raise InputError(f"batch_size must be at least 1, got {self.batch_size}")
        if self.pixels not in ("float", "uint8"):
            raise InputError(f"pixels must be float or uint8, got {self.pixels!r}")
        if self.draws < 2:
            raise InputError(f"draws must be at least 2, got {self.draws}")

    def changed(self, **changes: Any) -> Self:
        """The same but for some fields.

        Raises:
          InputError: for a name that is no field.
        """
        known = [field.name for field in dataclasses.fields(self)]
        for name in changes:
            if name not in known:
                raise InputError(f"an evaluation has no option {name!r}; there are: {', '.join(known)}")
        return dataclasses.replace(self, **changes)
