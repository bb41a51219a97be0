"""The wheel, in an environment of nothing but what it declares, outside the checkout: every command that documents show.

Each command is cut short. Pages with servers, a fleet or a phone have tests of their own.
"""

import importlib.metadata
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import venv
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from packaging.requirements import Requirement

import tfrobust
from tests.support import classifiers, pages, programs
from tfrobust import data, models
from tfrobust.cli.command import PROGRAMS

FEW = "few_digits.npz"
DIGITS = (f"--dataset={FEW}", "--examples=10")
CUT = {  # what makes a command short: other data and fewer images
    "trainers.imagenet": ("--model=ace_toy", "--width=2", "--image_size=32", "--epochs=1"),
    "trainers.evaluate": (*DIGITS, "--noactive_checks"),
    "trainers.transfer": (*DIGITS[:1], "--examples=5"),
    "trainers.certify": (*DIGITS, "--samples=100", "--attack_samples=2", "--radii=0.25"),
    "trainers.study": DIGITS,
    "trainers.sweep": ("--values=5",),
    "trainers.analyze": (*DIGITS, "--what=overlap,label_map"),
    "trainers.scenarios": DIGITS,
    "export.verify": (*DIGITS, "--own_examples=0", "--noactive_checks"),
}
TRAINERS = ("trainers.mnist", "trainers.cifar")


def declared(requirements):
    """The installed distributions that these requirements ask for, and those that they ask for in turn."""
    found, waiting = {}, [Requirement(text) for text in requirements]
    while waiting:
        wanted = waiting.pop()
        extras = {*wanted.extras, ""}
        if wanted.marker and not any(wanted.marker.evaluate({"extra": extra}) for extra in extras):
            continue
        known = found.setdefault(wanted.name.lower(), (importlib.metadata.distribution(wanted.name), set()))
        for extra in extras - known[1]:
            known[1].add(extra)
            for text in known[0].requires or ():
                inner = Requirement(text)
                if inner.marker is None or inner.marker.evaluate({"extra": extra}):
                    inner.marker = None
                    waiting.append(inner)
    return [distribution for distribution, _ in found.values()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, made from a copy of the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("tfrobust", "trainers", "export"):
        shutil.copytree(programs.ROOT / name, folder / "sources" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(programs.ROOT / name, folder / "sources")
    options = ("--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(folder))
    command = [sys.executable, "-m", "pip", "wheel", *options, str(folder / "sources")]
    subprocess.run(command, check=True, capture_output=True)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """The programs of an environment with the wheel, LiteRT and what they declare: links to what is installed here."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder)
    (packages,) = folder.glob("lib/*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    (about,) = packages.glob("tfrobust-*.dist-info")
    text = (about / "METADATA").read_text().split("\n\n")[0]
    needed = [line.removeprefix("Requires-Dist: ") for line in text.splitlines() if line.startswith("Requires-Dist: ")]
    wanted = [re.sub(r"; extra == .litert.$", "", line) for line in needed]
    for distribution in declared(line for line in wanted if "extra ==" not in line):
        for name in {file.parts[0] for file in distribution.files if file.parts[0] not in ("..", "__pycache__")}:
            if not (packages / name).exists():
                (packages / name).symlink_to(distribution.locate_file(name))
    command = folder / "bin" / "tfrobust"
    command.write_text(f"#!{folder}/bin/python\nfrom tfrobust.cli.command import main\nmain()\n")
    command.chmod(0o755)
    return folder / "bin"


def test_it_says_what_it_is(wheel):
    assert wheel.name.startswith(f"tfrobust-{tfrobust.__version__}-")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata, entry_points = (
            archive.read(next(name for name in names if name.endswith(f".dist-info/{file}"))).decode()
            for file in ("METADATA", "entry_points.txt")
        )
    assert "License-Expression: Apache-2.0" in metadata and "Requires-Dist: tensorflow<2.22" in metadata
    assert "tfrobust = tfrobust.cli.command:main" in entry_points
    assert "tfrobust/py.typed" in names and not any(name.startswith("tests/") for name in names)


def variables(environment):
    """Those of a shell in which the environment is active."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "PATH": f"{environment}:{kept['PATH']}"}


def shortened(command, epochs):
    """The words of a command, cut short, and the exit codes that it may end with."""
    of_sweep = f"lenet.keras --dataset={FEW} --epochs={epochs}'"
    command = re.sub(r"steps=\d+", "steps=2", re.sub(r"=(mnist|digits)\b", f"={FEW}", command))
    words = shlex.split(command.replace("lenet.keras'", of_sweep))
    program = {name: module for name, (module, _) in PROGRAMS.items()}[words[1]] if words[0] == "tfrobust" else words[2]
    if program in TRAINERS:
        words += [f"--dataset={FEW}", "--batch_size=50", "--learning_rate=5e-4", f"--epochs={epochs}"]
    codes = {0, 1} if program == "export.verify" else {0}  # of so little training int8 may differ
    return [*words, *CUT.get(program, ())], codes


@pytest.fixture(scope="module")
def run(environment, tmp_path_factory):
    """A function that runs a command in a folder, in a fork of one process of the environment."""
    outputs = [str(tmp_path_factory.mktemp("outputs") / name) for name in ("stdout", "stderr")]
    command = [environment / "python", "-P", programs.ROOT / "tests/support/forks.py"]
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=elsewhere, env=variables(environment), **pipes) as forks:

        def run(words, allowed, folder):
            for path in outputs:
                pathlib.Path(path).write_text("")
            print(json.dumps({"words": words, "folder": str(folder), "outputs": outputs}), file=forks.stdin, flush=True)
            code = int(forks.stdout.readline())
            said = "\n".join(pathlib.Path(path).read_text()[-2000:] for path in outputs)
            assert code in allowed, f"{code} of {words}\n{said}"

        yield run


@pytest.fixture
def folder(tmp_path):
    """Where commands run, with a hundred digits."""
    digits = data.load("digits", "test").take(100)
    np.savez(tmp_path / FEW, images=digits.floats(), labels=digits.labels)
    return tmp_path


def test_the_command_starts(environment, tmp_path):
    how = {"cwd": tmp_path, "env": variables(environment), "capture_output": True, "text": True}
    done = subprocess.run(["tfrobust", "--version"], check=True, **how)
    assert done.stdout == f"tfrobust {tfrobust.__version__}\n"


def test_the_readme_runs_from_top_to_bottom(run, folder):
    for block in pages.blocks("README.md"):
        if block.language == "python":
            run(["python", "-c", pages.shortened(block.text)], {0}, folder)
        elif "pip install" not in block.text:
            run(*shortened(block.text, epochs=1), folder)
    for page in ("runs/quickstart/verify", "runs/quickstart/evaluate", "report"):
        assert (folder / page / "report.html").exists()


@pytest.fixture
def prepared(folder):
    """The same, with what the pages take for granted."""
    for number in range(10):
        image = classifiers.random_images(1, (32, 32, 3), seed=number, low=0, high=1)[0]
        path = folder / "photographs" / f"n{number % 2}" / f"{number}.jpeg"
        tf.io.write_file(str(path), tf.io.encode_jpeg((image * 255).astype("uint8")))
    models.lenet().save(folder / "lenet.keras")
    network = models.ace_toy((32, 32, 3), 2, width=2)
    arrays = {
        f"{layer.name}_{variable.name}": variable.numpy() for layer in network.layers for variable in layer.weights
    }
    np.savez(folder / "efficientnet_lite0.npz", **arrays)
    return folder


def test_the_commands_of_the_pages_run_one_page_after_the_other(run, prepared):
    for page in pages.OF_COMMANDS:
        for block in pages.blocks(f"docs/{page}.md"):
            if block.language == "command":
                run(*shortened(block.text, epochs=0), prepared)
