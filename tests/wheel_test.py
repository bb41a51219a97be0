"""The wheel, outside the checkout: it holds what the programs need, and the command runs from any folder."""

import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

import tfrobust

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel's contents in a folder, made from a copy of the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("tfrobust", "trainers", "export"):
        shutil.copytree(ROOT / name, folder / "sources" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "sources")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--quiet",
        "--wheel-dir",
        str(folder),
    ]
    subprocess.run([*command, str(folder / "sources")], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    assert wheel.name.startswith(f"tfrobust-{tfrobust.__version__}-")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def test_it_says_what_it_is(installed):
    (about,) = installed.glob("*.dist-info")
    metadata = (about / "METADATA").read_text()
    assert "License-Expression: Apache-2.0" in metadata and "Requires-Dist: tensorflow<2.22" in metadata
    assert "tfrobust = tfrobust.cli.command:main" in (about / "entry_points.txt").read_text()
    assert (installed / "tfrobust" / "py.typed").exists() and not (installed / "tests").exists()


def test_the_command_trains_by_a_shipped_configuration_attacks_and_reports_from_any_folder(installed, tmp_path):
    def run(*arguments):
        command = [sys.executable, "-m", "tfrobust", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(installed)}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    assert "--config=quickstart" in run("list", "configs")
    run("train-mnist", "--config=quickstart", "--epochs=0", "--workdir=run")
    run(
        *("evaluate", "--model=run/model.keras", "--dataset=digits", "--examples=20", "--attack=fgsm(linf(0.1))"),
        *("--noactive_checks", "--output=report"),
    )
    assert "<h1>Robustness of run/model.keras</h1>" in (tmp_path / "report" / "report.html").read_text()
