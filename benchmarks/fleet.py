"""How much faster two workers are than one, of each engine, beside what two bare processes gain on the same cores.

    python -m benchmarks.fleet --model=lenet_int8.tflite --dataset=mnist --attack='square(linf(0.1), queries=200)'
    python -m benchmarks.fleet --model=runs/normal/model.keras --dataset=cifar10 --attack='pgd(linf(8/255), steps=10)'

Each worker has one core. Counted are the shards that are done after each worker has done its first, which loads and traces. The
bare processes multiply matrices: where the two cores are two threads of one, they do not reach twice the speed either.
"""

import dataclasses
import functools
import pathlib
import statistics
import tempfile
import time

from absl import flags

import tfrobust as tfr
from tfrobust import engines
from tfrobust.cli import attacks, data, engine_flags, program, shards

MODEL = flags.DEFINE_string("model", None, "What is attacked.", required=True)
ROUNDS = flags.DEFINE_integer("rounds", 3, "Of all measurements, of which the median counts.", lower_bound=1)
_SHARDS, _EXAMPLES = 14, 100  # and examples in each


def main():
    plan, source, rounds = attacks.from_flags(), data.from_flags(), ROUNDS.value
    speeds = {name: [] for name in ("bare", "local", "ray")}
    for _ in range(rounds):
        for name, found in speeds.items():
            one, two = (_speed(name, workers, plan, source) for workers in (1, 2))
            found.append(two / one)
    for name, found in speeds.items():
        print(
            f"{name}: two workers are {statistics.median(found):.2f} times as fast as one ({min(found):.2f} to {max(found):.2f})"
        )


def _speed(name, workers, plan, source):
    """Tasks a second."""
    with tempfile.TemporaryDirectory() as folder:
        make = _matrices
        if name != "bare":
            campaign = shards.Campaign(_SHARDS, engine=engine_flags.EngineConfig(name, workers))
            form = {"output": pathlib.Path(folder), "examples": _SHARDS * _EXAMPLES}
            make = functools.partial(
                shards.attacker, shards.Shared(campaign, dataclasses.replace(plan, **form), source, MODEL.value)
            )
        times = []
        failures = engines.run(
            _engine(name, make), range(_SHARDS), workers, lambda task, reply: times.append(time.monotonic())
        )
        if failures:
            raise tfr.InputError(f"shards fail: {next(iter(failures.values()))}")
    return (_SHARDS - workers) / (times[-1] - times[workers - 1])


def _engine(name, make):
    from tfrobust.engines.local import LocalEngine
    from tfrobust.engines.ray import RayEngine

    return RayEngine(make, workers=2) if name == "ray" else LocalEngine(make)


def _matrices():
    """In a worker: a function that multiplies matrices for about a second."""
    import numpy as np

    matrix = np.random.default_rng(0).normal(size=(256, 256)).astype("float32")

    def multiply(task):
        for _ in range(600):
            matrix @ matrix

    return multiply


for module in (attacks, data):
    flags.adopt_module_key_flags(module)

if __name__ == "__main__":
    program.run(main)
