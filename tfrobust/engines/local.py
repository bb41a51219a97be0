"""Processes of this machine."""

import contextlib
import multiprocessing
import multiprocessing.connection
from collections.abc import Callable, Sequence

from tfrobust.engines.engine import Engine, Reply, Work, Worker, confine, reply_of

_LAST_SECONDS = 10.0  # for a process to end by itself
_CONTEXT = multiprocessing.get_context("spawn")  # TensorFlow cannot be forked


class LocalEngine(Engine["_Process"]):
    """Processes of this machine, each on cores of its own.

    Args:
      make: makes the work, in the worker. It is pickled: a function of a module, or a partial of one.
      cores: of each worker.
    """

    def __init__(self, make: Callable[[], Work], cores: int = 1):
        self._make, self._cores = make, cores

    def start(self, rank):
        return _Process(self._make, rank, self._cores)

    def replies(self, workers: Sequence["_Process"]):
        ready = multiprocessing.connection.wait([worker.connection for worker in workers])
        return [(worker, worker.reply()) for worker in workers if worker.connection in ready]


class _Process(Worker):
    def __init__(self, make, rank, cores):
        self.connection, other = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_work, args=(make, rank, cores, other), daemon=True)
        self._process.start()
        other.close()  # so that its end is seen when the process dies

    def submit(self, task):
        with contextlib.suppress(OSError):  # it has died, as the next reply says
            self.connection.send(task)

    def dismiss(self):
        self.connection.close()  # which it takes for its end
        self._process.join(_LAST_SECONDS)
        self.kill()

    def kill(self):
        self._process.kill()
        self._process.join()
        self.connection.close()

    def reply(self):
        """The next one; a worker that has died has closed its end."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode or 0
            return Reply("died", f"signal {-code}" if code < 0 else f"exit code {code}")


def _work(make, rank, cores, connection):
    """What a worker does until it is stopped, or its parent is gone."""
    confine(rank, cores)
    made = []
    connection.send(reply_of(lambda: made.append(make())))
    while made:
        try:
            task = connection.recv()
            connection.send(reply_of(lambda: made[0](task)))  # noqa: B023, called at once
        except (EOFError, OSError):
            return
