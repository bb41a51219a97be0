"""The command `tfrobust`, and flagfiles by name from anywhere."""

import os
import pathlib
import subprocess
import sys

import pytest

import tfrobust
from tests.support import programs
from tfrobust import InputError
from tfrobust.cli import flagfiles
from tfrobust.cli.command import PROGRAMS

ROOT = pathlib.Path(__file__).parents[2]


def test_it_lists_every_program_and_every_program_is_there():
    said = programs.succeed("tfrobust")
    assert all(name in said for name in PROGRAMS)
    there = {path.relative_to(ROOT) for folder in ("trainers", "export") for path in (ROOT / folder).glob("*.py")}
    runnable = {f"{p.parent}.{p.stem}" for p in there if 'if __name__ == "__main__"' in (ROOT / p).read_text()}
    assert {module for module, _ in PROGRAMS.values()} == runnable - {"export.runtime"}  # a process of export.verify
    assert programs.succeed("tfrobust", "--version").strip() == f"tfrobust {tfrobust.__version__}"


def test_a_program_takes_its_flags_and_says_the_same_as_its_module():
    short, long = (programs.run(*name, "--help") for name in (("tfrobust", "export-tflite"), ("export.tflite",)))
    assert short.returncode == long.returncode == 0
    assert short.stdout.replace("\n", "").endswith(long.stdout.replace("\n", "")[-2000:])
    wrong = programs.run("tfrobust", "export-tflite", "--model=nothing.keras", "--output=x.tflite", "--quantize=int9")
    assert wrong.returncode == 2 and "int9" in programs.errors(wrong)[0]


@pytest.mark.parametrize(
    "kind, line",
    [
        ("attacks", "deepfool"),
        ("models", "resnet18"),
        ("datasets", "digits"),
        ("defenses", "--defense=trades"),
        ("masks", "kind=same"),
        ("corruptions", "fog"),
        ("configs", "--config=mnist_lenet"),
    ],
)
def test_lists_have_a_line_for_each(kind, line):
    lines = programs.succeed("tfrobust", "list", kind).splitlines()
    assert line in [found.split()[0] for found in lines]
    assert kind == "corruptions" or all(len(found.split()) > 2 for found in lines)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("evalute",), "did you mean 'evaluate'"),
        (("list", "attack"), "takes one of attacks"),
        (("evaluate",), "--model is missing: The model: .keras"),
        (("train-mnist", "--config=mnist_lenett", "--workdir=x"), "did you mean 'mnist_lenet'"),
        (("train-cifar", "--model=resnet81", "--workdir=x"), "did you mean 'resnet18'"),
    ],
)
def test_what_there_is_not_is_answered_by_what_there_is(arguments, said):
    process = programs.run("tfrobust", *arguments)
    assert process.returncode == 2 and said in programs.errors(process)[0]


def test_flagfiles_are_found_from_anywhere_and_hold_others(tmp_path):
    """As from an installed wheel: there is no checkout where the command is run."""
    (tmp_path / "own.flags").write_text("# mine\n--flagfile=trainers/configs/cifar_cpu_small.flags\n\n--epochs=1\n")
    code = "from tfrobust.cli import flagfiles; print(flagfiles.expanded(['--a', '--flagfile', 'own.flags', '--', '--config=x']))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    arguments = eval(found.stdout)
    assert arguments[0] == "--a" and "--width=16" in arguments and arguments[-3:] == ["--epochs=1", "--", "--config=x"]


def test_a_flagfile_that_includes_itself_is_refused(tmp_path):
    path = tmp_path / "own.flags"
    path.write_text(f"--flagfile={path}\n")
    with pytest.raises(InputError, match="includes itself"):
        flagfiles.expanded([f"--flagfile={path}"])
