"""How a report came about, and what it takes to repeat it."""

import datetime
import hashlib
import os
import pathlib
import platform
import shlex
import subprocess
import sys

import numpy as np

from tfrobust.targets import identity


def of_run(
    model: str | None = None, images: np.ndarray | None = None, labels: np.ndarray | None = None
) -> dict[str, str | None]:
    """What a program that runs now knows of itself.

    Args:
      model: the path or name of what was evaluated, where it is one.
      images, labels: what it was shown, where that is at hand.

    Returns:
      "command", "date" (UTC), "git_commit" of the working directory, "hardware", "model_sha256", "data_sha256"; None where
      there is none.
    """
    return {
        "command": _command(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "git_commit": _commit(),
        "hardware": _hardware(),
        "model_sha256": _content(pathlib.Path(model)) if model else None,
        "data_sha256": None if images is None else _digest(images, labels),
    }


def _command():
    """The command line; None of an interactive session."""
    program = sys.modules["__main__"].__spec__
    if program is not None:
        name = program.name.removesuffix(".__main__")
        return shlex.join(["python", "-m", name, *sys.argv[1:]])
    return shlex.join(["python", *sys.argv]) if sys.argv[0] else None


def _commit():
    try:
        asked = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _hardware():
    info = pathlib.Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} processors"


def _content(path):
    """The SHA-256 of a file, or of the names and contents of all files of a folder; None of what is neither."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return identity.of_files(path) if path.is_dir() else None


def _digest(images, labels):
    found = hashlib.sha256(f"{images.dtype}{images.shape}".encode())
    found.update(np.ascontiguousarray(images).data)
    found.update(np.ascontiguousarray(labels).data)
    return found.hexdigest()
