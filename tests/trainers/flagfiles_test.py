"""Every flagfile opens with its command, its time and what to expect, and the command takes it."""

import pathlib
import shlex

import pytest

from tests.support import programs

FOLDER = pathlib.Path(__file__).parents[2] / "trainers" / "configs"
FLAGFILES = sorted(FOLDER.glob("*.flags"))


def opening(path):
    """The text of the comments that a flagfile opens with."""
    lines = path.read_text().splitlines()
    first_flag = next(index for index, line in enumerate(lines) if not line.startswith("#"))
    return "\n".join(line.removeprefix("#").strip() for line in lines[:first_flag])


@pytest.mark.parametrize("path", FLAGFILES, ids=lambda path: path.stem)
def test_a_flagfile_opens_with_its_command_its_time_and_what_to_expect(path):
    text = opening(path)
    assert f"--flagfile=trainers/configs/{path.name}" in text
    assert "\nTime on two cores: " in text and "\nExpect: " in text


@pytest.mark.parametrize("path", FLAGFILES, ids=lambda path: path.stem)
def test_the_command_takes_its_flagfile(path, tmp_path):
    """Without data, or without the model that is looked at, it stops there, and not before."""
    (command,) = (paragraph for paragraph in opening(path).split("\n\n") if paragraph.startswith("python -m "))
    _, _, program, *arguments = shlex.split(command.replace("\\\n", ""))
    if program in ("trainers.evaluate", "export.verify"):
        missing = str(tmp_path / "missing.keras")
        of_evaluate, of_verify = (f"--model={missing}", "--baseline="), (f"--reference={missing}",)
        nothing = (*(of_evaluate if program == "trainers.evaluate" else of_verify), f"--output={tmp_path}")
    else:
        dataset = "mnist" if program == "trainers.mnist" else "cifar10"
        nothing = (f"--dataset={dataset}", f"--data_dir={tmp_path}", "--nodownload", f"--workdir={tmp_path / 'run'}")
        missing = f"{dataset} is not in the data dir"
    process = programs.run(program, *arguments, *nothing)
    assert process.returncode == 2 and missing in programs.errors(process)[0]
