"""Servers that need an environment of their own, which is made once under runs/; and processes that are ended."""

import contextlib
import fcntl
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from tests.support import programs

VENVS = programs.ROOT / "runs"
REQUIREMENTS = pathlib.Path(__file__).parent


def python_with(name: str) -> pathlib.Path:
    """The Python of the environment that `<name>_requirements.txt` beside this file describes; skips where it cannot be made."""
    requirements = REQUIREMENTS / f"{name}_requirements.txt"
    folder = VENVS / f"{name}-venv"
    installed = folder / "installed"
    VENVS.mkdir(exist_ok=True)
    with open(VENVS / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several processes of tests
        if not installed.is_file() or installed.read_text() != requirements.read_text():
            install = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            try:
                subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True, timeout=60)
                subprocess.run([*install, "--requirement", requirements], check=True, timeout=400, capture_output=True)
            except (subprocess.SubprocessError, OSError) as error:
                pytest.skip(f"{name} cannot be installed here: {error}")
            installed.write_text(requirements.read_text())
    return folder / "bin/python"


@contextlib.contextmanager
def process(*command, cwd=None):
    """A process that is ended in the end, with its output as `stdout`."""
    started = subprocess.Popen(
        list(map(str, command)), cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield started
    finally:
        started.kill()
        started.wait()
        started.stdout.close()


def free_ports(count: int) -> list[int]:
    """Ports of this machine on which nobody listens, no two of them the same."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]


def counted(file: pathlib.Path) -> int:
    """How many images a server has counted in its file."""
    return sum(int(line.split()[0]) for line in file.read_text().splitlines()) if file.exists() else 0


def wait_for(url: str, running: subprocess.Popen, seconds: float = 90.0) -> None:
    """Until a server answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and running.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as response:
            if response.status == 200:
                return
        time.sleep(0.1)
    raise AssertionError(f"{url} does not answer, exit code {running.poll()}")
