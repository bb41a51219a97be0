"""What several tests share: one small trained network, and its exports."""

import pathlib
from typing import NamedTuple

import pytest

from tests.support import programs


class Artifacts(NamedTuple):
    """A LeNet trained for two epochs on digits, and what was exported from it."""

    workdir: pathlib.Path
    model: pathlib.Path
    saved_model: pathlib.Path
    float32: pathlib.Path
    int8: pathlib.Path


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("artifacts")
    made = Artifacts(
        folder / "run", folder / "run/model.keras", folder / "served", folder / "float32.tflite", folder / "int8.tflite"
    )
    flagfile = "--flagfile=trainers/configs/quickstart.flags"
    programs.succeed("trainers.mnist", flagfile, "--epochs=2", f"--workdir={made.workdir}")
    programs.succeed("export.saved_model", f"--model={made.model}", f"--output={made.saved_model}")
    programs.succeed("export.tflite", f"--model={made.model}", f"--output={made.float32}")
    quantized = ("--quantize=int8", "--calibration=digits")
    programs.succeed("export.tflite", f"--model={made.model}", f"--output={made.int8}", *quantized)
    return made
