"""Standard error is for what a user has to read."""

import concurrent.futures
import os
import subprocess
import sys

import pytest

from tests.support import programs
from tfrobust import InputError
from tfrobust.cli import quiet

ATTACK = ("--examples=20", "--attack=fgsm(linf(0.1))")
# The other programs start TensorFlow and load models by the same lines.
RUNS = {
    "trainers.cifar": ("--dataset=digits", "--model=vgg11", "--width=4", "--epochs=0", "--workdir={folder}/cifar"),
    "trainers.study": ("--what=noise", "--sigmas=8", "--model={model}", "--examples=5"),
    "trainers.certify": ("--method=intervals", "--model={model}", "--dataset=digits", "--examples=5", "--radii=0.01"),
    "trainers.evaluate": ("--model={int8}", "--source={model}", "--noactive_checks", *ATTACK),
    "export.tflite": ("--model={model}", "--output={folder}/l.tflite", "--quantize=int8", "--calibration=digits"),
}


@pytest.fixture(scope="module")
def processes(artifacts, tmp_path_factory):
    """A run of each program in a process of its own, two at a time."""
    paths = {**artifacts._asdict(), "folder": tmp_path_factory.mktemp("quiet")}

    def start(program):
        return programs.run_fresh(program, *(argument.format_map(paths) for argument in RUNS[program]))

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return dict(zip(RUNS, pool.map(start, RUNS)))


@pytest.mark.parametrize("program", RUNS)
def test_a_run_that_goes_well_says_nothing_on_standard_error(processes, program):
    """No progress bar either, which is for terminals."""
    process = processes[program]
    assert process.returncode == 0 and process.stderr == "", process.stderr[-2000:]


@pytest.mark.parametrize("ending, code", [("raise ImportError('a symbol is missing')", 70), ("os.abort()", -6)])
def test_what_tensorflow_says_is_shown_if_it_cannot_be_imported(tmp_path, ending, code):
    """The wheel raises where its own libraries do not fit, and aborts where the processor lacks AVX."""
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text(f"import os\nos.write(2, b'said by a library\\n')\n{ending}\n")
    process = subprocess.run(
        [sys.executable, "-m", "export.tflite", "--model=model.keras", f"--output={tmp_path / 'model.tflite'}"],
        cwd=programs.ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == code and process.stderr.startswith("said by a library\n")
    assert ("a symbol is missing" in process.stderr) == (code == 70)


def test_a_block_that_ends_well_leaves_nothing(capfd):
    with quiet.held_back():
        os.write(2, b"native\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_a_block_that_fails_shows_what_it_said(capfd):
    with pytest.raises(RuntimeError), quiet.held_back():
        os.write(2, b"native\n")
        raise RuntimeError
    assert capfd.readouterr().err == "native\n"


def test_wrong_use_keeps_to_its_one_line(capfd):
    with pytest.raises(InputError), quiet.held_back():
        os.write(2, b"native\n")
        raise InputError("no such file")
    assert capfd.readouterr().err == ""
