"""Tasks given to workers as they become idle; a worker that dies is replaced, and a task that kills two is given up."""

import abc
import os
import traceback
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from tfrobust.errors import InputError

Work = Callable[[int], object]  # does one task, given its number
_DEATHS = 2  # of workers, after which their task is given up
_STARTS = 3  # workers that may die one after the other before they have a task


class Reply(NamedTuple):
    """What a worker says of a task, or of its own making.

    Attributes:
      kind: "done", "failed", "refused" or, of a worker that does not live any more, "died".
      reason: a line, where it is not done.
    """

    kind: str
    reason: str = ""


class Worker(abc.ABC):
    """A process elsewhere that has been asked to make its work, and then does tasks, one at a time."""

    @abc.abstractmethod
    def submit(self, task: int) -> None:
        """Gives it a task. It must be idle."""

    @abc.abstractmethod
    def dismiss(self) -> None:
        """Ends it. It must be idle."""

    @abc.abstractmethod
    def kill(self) -> None:
        """Ends it, whatever it is doing."""


_Worker = TypeVar("_Worker", bound=Worker)


class Engine(abc.ABC, Generic[_Worker]):
    """Where workers live."""

    @abc.abstractmethod
    def start(self, rank: int) -> _Worker:
        """A new worker, which makes its work first and replies when that is done, on the share of cores of its rank."""

    @abc.abstractmethod
    def replies(self, workers: Sequence[_Worker]) -> list[tuple[_Worker, Reply]]:
        """Waits for the next replies of busy workers."""


def run(engine: Engine, tasks: Sequence[int], workers: int, done: Callable[[int, Reply], None]) -> dict[int, str]:
    """Has all tasks done.

    Args:
      engine: where.
      tasks: their numbers.
      workers: how many at once.
      done: is told of each task when it is done, failed, or given up.

    Returns:
      Why, for each task that failed.

    Raises:
      InputError: if a worker cannot be made.
    """
    return _Run(engine, tasks, done).failures(workers)


class _Run:
    """The state of one `run`."""

    def __init__(self, engine, tasks, done):
        self._engine, self._done = engine, done
        self._waiting, self._early_deaths = deque(tasks), 0
        self._deaths: Counter[int] = Counter()
        self._failures: dict[int, str] = {}
        self._busy: dict[Worker, int | None] = {}  # by worker the task; None: it is making its work
        self._ranks: dict[Worker, int] = {}
        self._idle: list[Worker] = []  # they take seconds to end, for which the others' replies do not wait

    def failures(self, workers):
        """Does it."""
        try:
            for rank in range(min(workers, len(self._waiting))):
                self._start(rank)
            while self._busy:
                for worker, reply in self._engine.replies(list(self._busy)):
                    self._take(worker, self._busy.pop(worker), reply)
        finally:
            for worker in self._busy:
                worker.kill()
            for worker in self._idle:
                worker.dismiss()
        return self._failures

    def _take(self, worker, task, reply):
        """What follows from a reply."""
        if reply.kind == "died":
            reply = self._after_death(worker, task, reply)
        elif task is None and reply.kind != "done":
            worker.dismiss()
            raise InputError(reply.reason)
        elif self._waiting:
            self._busy[worker] = self._waiting.popleft()
            worker.submit(self._busy[worker])
        else:
            self._idle.append(worker)
        if task is not None and reply.kind != "died":
            if reply.kind != "done":
                self._failures[task] = reply.reason
            self._done(task, reply)

    def _after_death(self, worker, task, reply):
        """Replaces a worker, and gives its task to another one, unless it has killed enough."""
        self._early_deaths = self._early_deaths + 1 if task is None else 0
        if self._early_deaths == _STARTS:
            raise InputError(f"workers die before they begin: {reply.reason}")
        if task is not None:
            self._deaths[task] += 1
            if self._deaths[task] == _DEATHS:
                reply = Reply("failed", f"{_DEATHS} workers died of it: {reply.reason}")
            else:
                self._waiting.append(task)
        if self._waiting:
            self._start(self._ranks[worker])
        return reply

    def _start(self, rank):
        worker = self._engine.start(rank)
        self._busy[worker], self._ranks[worker] = None, rank


def reply_of(function: Callable[[], object]) -> Reply:
    """Calls a function in a worker, and says how that ended."""
    try:
        function()
    except InputError as error:
        return Reply("refused", " ".join(str(error).split()))
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return Reply(
            "failed", f"{type(error).__name__}: {' '.join(str(error).split())} ({where.filename}:{where.lineno})"
        )
    return Reply("done")


def confine(rank: int, cores: int) -> None:
    """Gives this process its share of the machine's cores. Whatever starts threads later, starts as many as these."""
    known = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {known[(rank * cores + place) % len(known)] for place in range(cores)})
