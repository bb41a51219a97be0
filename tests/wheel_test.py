"""The wheel, in an environment of nothing but what it declares, outside the checkout: the README and the command line's page."""

import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
import zipfile

import pytest
from packaging.requirements import Requirement

import tfrobust
from tests.support import pages, programs
from tfrobust.cli.command import PROGRAMS

CUT = {  # what makes a command short: other data, fewer images, fewer epochs
    "trainers.mnist": ("--dataset=digits", "--epochs=3", "--learning_rate=5e-4", "--batch_size=50"),
    "trainers.cifar": ("--dataset=digits", "--epochs=0"),
    "trainers.evaluate": ("--dataset=digits", "--examples=20", "--noactive_checks"),
    "trainers.transfer": ("--dataset=digits", "--examples=5"),
    "export.saved_model": (),
    "export.tflite": ("--calibration=digits",),
    "export.verify": ("--dataset=digits", "--examples=20", "--own_examples=0", "--noactive_checks"),
}


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


def shortened(block):
    """What a block is run as, cut short, and the exit codes that it may end with."""
    if block.language == "python":
        return ["python", "-c", re.sub(r"epochs=(20|5)", "epochs=2", block.text)], {0}
    words = shlex.split(block.text)
    program = {name: module for name, (module, _) in PROGRAMS.items()}[words[1]] if words[0] == "tfrobust" else words[2]
    words += CUT[program]
    if program == "trainers.mnist" and "deep_defense" in block.text:
        words += ["--epochs=1"]
    return words, {0, 1} if program == "export.verify" else {0}  # of so little training int8 may differ


def run(page, environment, folder):
    """Runs the commands of a page, but for the installation, and its Python, in a folder."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    variables["PATH"] = f"{environment}:{variables['PATH']}"
    for block in pages.blocks(page):
        if "pip install" not in block.text:
            words, allowed = shortened(block)
            done = subprocess.run(words, cwd=folder, env=variables, capture_output=True, text=True, check=False)
            assert done.returncode in allowed, f"{block.text}\n{done.stdout[-1000:]}\n{done.stderr[-2000:]}"


def test_the_readme_runs_from_top_to_bottom(environment, tmp_path):
    run("README.md", environment, tmp_path)
    for page in ("runs/quickstart/verify", "runs/quickstart/evaluate", "report"):
        assert (tmp_path / page / "report.html").exists()


def test_the_page_of_the_command_line_runs_from_top_to_bottom(environment, tmp_path):
    run("docs/command_line.md", environment, tmp_path)
    for page in ("runs/evaluate", "runs/verify", "runs/transfer"):
        assert (tmp_path / page / "report.html").exists()
