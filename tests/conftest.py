"""What several tests share: one small trained network and its exports."""

import fcntl
import os
import pathlib
from typing import NamedTuple

import pytest

from tests.support import programs

if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as cores: one thread for each, children included
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")


class Artifacts(NamedTuple):
    """A LeNet trained for two epochs on digits, and what was exported from it."""

    workdir: pathlib.Path
    model: pathlib.Path
    saved_model: pathlib.Path
    float32: pathlib.Path
    int8: pathlib.Path


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory):
    """Made by the process that needs them first; the others wait for it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "artifacts"
    made = Artifacts(
        folder / "run", folder / "run/model.keras", folder / "served", folder / "float32.tflite", folder / "int8.tflite"
    )
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.int8.exists():
            _make(made)
    return made


def _make(artifacts):
    flagfile = "--flagfile=trainers/configs/quickstart.flags"
    programs.succeed("trainers.mnist", flagfile, "--epochs=2", f"--workdir={artifacts.workdir}")
    programs.succeed("export.saved_model", f"--model={artifacts.model}", f"--output={artifacts.saved_model}")
    programs.succeed("export.tflite", f"--model={artifacts.model}", f"--output={artifacts.float32}")
    quantized = ("--quantize=int8", "--calibration=digits")
    programs.succeed("export.tflite", f"--model={artifacts.model}", f"--output={artifacts.int8}", *quantized)
