"""The flags of what spreads work over processes."""

import dataclasses
import os
from collections.abc import Callable, Sequence

from absl import flags

from tfrobust import engines

ENGINE = flags.DEFINE_enum(
    "engine",
    None,
    ["local", "ray"],
    "Spread the work over processes of this machine, or over actors of the Ray cluster of RAY_ADDRESS, else of this machine.",
)
WORKERS = flags.DEFINE_integer(
    "workers", None, "Processes at a time; default: as many as there are cores.", lower_bound=1
)
CORES = flags.DEFINE_integer("cores_per_worker", 1, "Cores of each process.", lower_bound=1)
GPUS = flags.DEFINE_float("gpus_per_worker", 0.0, "GPUs of each actor of Ray, or part of one.", lower_bound=0.0)


@dataclasses.dataclass(frozen=True)
class EngineConfig:
    """What spreads work.

    Attributes:
      name: "local" or "ray".
      workers: processes at a time.
      cores, gpus: of each of them.
    """

    name: str
    workers: int
    cores: int = 1
    gpus: float = 0.0

    def run(self, make: Callable[[], Callable[[int], object]], tasks: Sequence[int], unit: str) -> dict[int, str]:
        """Has tasks done, with a progress bar.

        Args:
          make: see `tfrobust.engines.local.LocalEngine`.
          tasks: their numbers.
          unit: what one of them is called.

        Returns:
          Why, for each task that failed.

        Raises:
          InputError: where Ray is not installed, or a worker cannot be made.
        """
        import tqdm

        with tqdm.tqdm(total=len(tasks), desc=f"{unit}s", unit=unit, disable=None) as bar:
            return engines.run(self._engine(make), tasks, self.workers, lambda task, reply: bar.update())

    def _engine(self, make):
        if self.name == "ray":
            from tfrobust.engines.ray import RayEngine

            return RayEngine(make, self.cores, self.gpus, self.workers)
        from tfrobust.engines.local import LocalEngine

        return LocalEngine(make, self.cores)


def from_flags() -> EngineConfig | None:
    """What the flags of this module say; None for one process."""
    if ENGINE.value is None:
        return None
    workers = WORKERS.value or max(len(os.sched_getaffinity(0)) // CORES.value, 1)
    return EngineConfig(ENGINE.value, workers, CORES.value, GPUS.value)
