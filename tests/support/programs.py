"""Starts the programs as a user does, from the root of the checkout.

`run` forks a process that imported TensorFlow once, which takes 3.5 s; `run_fresh` starts a new one.
"""

import multiprocessing
import os
import pathlib
import subprocess
import sys
import tempfile

from tests.support import forks

ROOT = pathlib.Path(__file__).parents[2]

# One server for each process of tests, started by the first `run`, ended with it.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.support.preloaded"])


def run(program, *arguments, environment=None, timeout=600):
    """Runs `python -m program arguments…` in a fork and returns the completed process, its output as text.

    Args:
      program, arguments: what is run.
      environment: variables to set beside those of this process.
      timeout: seconds after which it is killed, and `subprocess.TimeoutExpired` is raised.
    """
    return _fork("-m", program, *map(str, arguments), environment=environment, timeout=timeout)


def run_code(code, timeout=600):
    """Runs `python -c code` in a fork."""
    return _fork("-c", code, timeout=timeout)


def forked(function, *arguments) -> multiprocessing.Process:
    """A fork that calls a function of a module, started."""
    child = _FORKS.Process(target=function, args=arguments)
    child.start()
    return child


def _fork(*arguments, environment=None, timeout):
    with tempfile.TemporaryDirectory() as folder:
        paths = [pathlib.Path(folder, name) for name in ("stdout", "stderr")]
        child = _FORKS.Process(
            target=_run_python_in_fork, args=(arguments, {**os.environ, **(environment or {})}, paths)
        )
        child.start()
        child.join(timeout)
        if child.exitcode is None:
            child.kill()
            child.join()
            raise subprocess.TimeoutExpired(arguments, timeout)
        return subprocess.CompletedProcess(arguments, child.exitcode, *(path.read_text() for path in paths))


def _run_python_in_fork(arguments, environment, paths):
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    forks.as_python(arguments, paths)


def run_fresh(program, *arguments, timeout=600):
    """Runs `python -m program arguments…` in a new process, for what depends on importing."""
    return _run_python("-m", program, *map(str, arguments), timeout=timeout)


def run_code_fresh(code, timeout=60):
    """Runs `python -c code` in a new process."""
    return _run_python("-c", code, timeout=timeout)


def _run_python(*arguments, timeout):
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)


def succeed(program, *arguments):
    """Runs a program that must end with exit code 0; returns what it printed."""
    process = run(program, *arguments)
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-2000:]
    return process.stdout


def errors(process):
    """The lines that the program itself wrote about what is wrong."""
    return [line for line in process.stderr.splitlines() if line.startswith("error: ")]
