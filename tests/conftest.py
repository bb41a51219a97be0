"""What several tests share: one small trained network and its exports."""

import fcntl
import gc
import os
import pathlib
from typing import NamedTuple

import numpy as np
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


# Files that take longest, longest first: begun last, one of them would keep one process busy after the others ended.
LONG = (
    "wheel_test.py",
    "attacks/attacks_test.py",
    "trainers/strategies_test.py",
    "evaluation/shards_test.py",
    "documents_test.py",
    "export/device_pack_test.py",
    "trainers/fleet_test.py",
    "targets/serving/serve_and_attack_test.py",
    "evaluation/deceivers_test.py",
    "defenses/replicas_test.py",
    "attacks/auto_attack_golden_test.py",
    "targets/serving/servers_test.py",
    "targets/foreign_test.py",
    "models/models_test.py",
    "export/export_test.py",
    "export/deployment_test.py",
    "trainers/study_test.py",
    "trainers/evaluate_test.py",
    "export/verification_test.py",
    "trainers/mnist_test.py",
    "attacks/compose_test.py",
    "attacks/attack_test.py",
    "evaluation/storage_test.py",
    "trainers/imagenet_test.py",
)


def pytest_collection_modifyitems(items):
    """The long files come first, the others stay in their order."""
    folder = pathlib.Path(__file__).parent
    places = {folder / name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path, len(LONG)))


def pytest_collection_finish():
    """Tracing makes many objects: looking at all that was imported each time takes a twelfth of the tests' time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


@pytest.fixture(scope="session")
def few_digits(tmp_path_factory):
    """An .npz file of 320 training digits, which a program takes for training and for test images."""
    from tfrobust import data  # here, since the process that only distributes the tests does not need TensorFlow

    path = tmp_path_factory.mktemp("data") / "few_digits.npz"
    digits = data.load("digits", "train").take(320)
    np.savez(path, images=digits.floats(), labels=digits.labels)
    return path


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
