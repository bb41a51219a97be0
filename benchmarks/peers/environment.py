"""A virtual environment of the peers' own: they need not be installed where tfrobust is developed."""

import importlib.metadata
import importlib.util
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
VENVS = ROOT / "runs"
DISTRIBUTIONS = {
    "foolbox": "foolbox",
    "art": "adversarial-robustness-toolbox",
    "cleverhans": "cleverhans",
    "torchattacks": "torchattacks",
}


def enter(peers, benchmark="peers"):
    """Goes on in an environment with the peers: this one if it has them, else one that is made under runs/.

    There the program starts again with the same arguments.

    Args:
      peers: packages.
      benchmark: the folder of benchmarks/ whose program it is; its requirements.txt says what is installed.
    """
    venv = VENVS / f"{benchmark}-venv"
    if all(importlib.util.find_spec(peer) for peer in peers) or pathlib.Path(sys.prefix) == venv:
        return
    python = venv / "bin" / "python"
    requirements = ROOT / "benchmarks" / benchmark / "requirements.txt"
    installed = venv / "installed"
    if not installed.exists() or installed.read_text() != requirements.read_text():
        print(f"installing the peers in {venv}", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        pinned = ["--constraint", ROOT / "constraints.txt", "--requirement", requirements, "--editable", ROOT]
        subprocess.run([*install, *pinned], check=True)
        installed.write_text(requirements.read_text())
    os.execv(python, [str(python), "-m", f"benchmarks.{benchmark}", *sys.argv[1:]])


def versions(peers):
    """Which versions of the peers and of what all sides run on are installed: name -> version."""
    names = [*(DISTRIBUTIONS[peer] for peer in peers), "tensorflow", "keras", "numpy"]
    return {name: importlib.metadata.version(name) for name in names}
