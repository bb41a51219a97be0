"""How much is asked at once and how fast: as many requests in flight as the server gains from, and no more images a second than agreed."""

import concurrent.futures
import threading
import time
from collections.abc import Callable, Sequence

_MOST = 32  # requests in flight
_GAIN = 1.05  # by which one more must raise the speed to stay
_WINDOW = 8  # requests over which speeds are compared, or two for each in flight
_HOLD = 10  # windows after which more is tried again


class Concurrency:
    """Runs tasks beside one another, at first two, so that a server never waits for the next one.

    One more is tried, and kept where it makes the server faster; when it is overloaded, half remain.
    """

    def __init__(self, most: int = _MOST):
        self._most, self._limit, self._lock = most, 2, threading.Lock()
        self._speed, self._trying, self._hold = 0.0, True, 0
        self._done, self._busy = 0, 0.0

    @property
    def limit(self) -> int:
        """How many tasks run at once."""
        return self._limit

    def overloaded(self) -> None:
        """The server has said so."""
        with self._lock:
            self._limit, self._trying, self._hold = max(self._limit // 2, 1), False, _HOLD
            self._done, self._busy = 0, 0.0

    def run(self, task: Callable, arguments: Sequence) -> list:
        """`task` of each argument, in their order. When one raises, those that run end before that is raised.

        So what was asked is answered, and kept, when a run is stopped by an error or by Ctrl-C.
        """
        waiting = list(enumerate(arguments))[::-1]
        running: dict[concurrent.futures.Future, int] = {}
        found: list = [None] * len(arguments)
        with concurrent.futures.ThreadPoolExecutor(min(self._most, len(arguments)) or 1) as pool:
            while waiting or running:
                while waiting and len(running) < self._limit:
                    place, argument = waiting.pop()
                    running[pool.submit(task, argument)] = place
                started = time.monotonic()
                done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                self.completed(len(done), time.monotonic() - started)
                for future in done:
                    found[running.pop(future)] = future.result()
        return found

    def completed(self, count, seconds):
        """Looks at the speed of a window, and changes the limit by one."""
        with self._lock:
            self._done, self._busy = self._done + count, self._busy + seconds
            if self._done < max(_WINDOW, 2 * self._limit):
                return
            speed = self._done / max(self._busy, 1e-9)
            self._done, self._busy = 0, 0.0
            if self._trying and speed <= _GAIN * self._speed:  # the last one more was in vain
                self._limit, self._trying, self._hold = self._limit - 1, False, _HOLD
                return
            self._speed, self._hold = speed, self._hold - 1
            if self._trying or self._hold <= 0:
                self._trying = self._limit < self._most
                self._limit = min(self._limit + 1, self._most)


class Rate:
    """Images a second, evenly spaced.

    Args:
      per_second: at most; None: any number.
    """

    def __init__(self, per_second: float | None):
        self._per_second, self._next, self._lock = per_second, time.monotonic(), threading.Lock()

    def wait(self, images: int) -> None:
        """Until so many more may be sent."""
        if self._per_second is None:
            return
        with self._lock:
            start = max(self._next, time.monotonic())
            self._next = start + images / self._per_second
        time.sleep(max(start - time.monotonic(), 0.0))
