"""Starts the programs as a user does: real processes, from the root of the checkout."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]


def run(program, *arguments, timeout=600):
    """Runs `python -m program arguments…` and returns the completed process, its output as text."""
    return subprocess.run(
        [sys.executable, "-m", program, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def run_code(code):
    """Runs a line of Python in a fresh process."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def succeed(program, *arguments):
    """Runs a program that must end with exit code 0; returns what it printed."""
    process = run(program, *arguments)
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-2000:]
    return process.stdout


def errors(process):
    """The lines that the program itself wrote about what is wrong."""
    return [line for line in process.stderr.splitlines() if line.startswith("error: ")]
