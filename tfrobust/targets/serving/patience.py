"""When a request is made again: what may pass is waited for, as long as the server asks, and not for ever."""

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from tfrobust.errors import InputError

_FIRST_WAIT, _LONGEST_WAIT = 0.25, 20.0  # seconds
_MOST_ASKED = 300.0  # seconds that a server may ask to wait
_BUDGET, _EARNED = 100.0, 0.2  # retries of all requests together, and what each success adds
_USELESS = 3  # tries, where an answer comes that cannot be used
_Answer = TypeVar("_Answer")


class UnavailableError(Exception):
    """A request failed that may succeed when it is made again.

    Args:
      reason: a line.
      after: seconds that the server asks to wait; None: it does not say.
      overloaded: whether fewer requests at a time would help.
      not_seen: whether the server has surely not looked at the images.
      answered: whether it has answered, but so that the answer cannot be used: that seldom passes.
    """

    def __init__(
        self,
        reason: str,
        after: float | None = None,
        *,
        overloaded: bool = False,
        not_seen: bool = False,
        answered: bool = False,
    ):
        super().__init__(reason)
        self.after, self.overloaded, self.not_seen, self.answered = after, overloaded, not_seen, answered


class Patience:
    """Makes requests again, with pauses that double and are drawn at random, so that clients do not come back together.

    All requests share a budget: where one in five fails for long, the server is not asked further.

    Args:
      tries: of one request.
    """

    def __init__(self, tries: int):
        self._tries, self._left, self._lock = tries, _BUDGET, threading.Lock()
        self.retries = 0

    def call(self, attempt: Callable[[], _Answer], name: str, failed: Callable[[UnavailableError], None]) -> _Answer:
        """What `attempt()` returns, called until it does not raise `UnavailableError`.

        Args:
          attempt: makes the request.
          name: of what is asked, for the message.
          failed: is told of each failure.

        Raises:
          InputError: when all tries are made, the budget is spent, or the server asks to wait for minutes.
        """
        for tried in range(1, self._tries + 1):
            try:
                answer = attempt()
            except UnavailableError as error:
                failed(error)
                self._wait(error, tried, name)
            else:
                with self._lock:
                    self._left = min(self._left + _EARNED, _BUDGET)
                return answer
        raise AssertionError("the last try returns or raises")

    def _wait(self, error, tried, name):
        last = tried >= (min(self._tries, _USELESS) if error.answered else self._tries)
        with self._lock:
            self._left -= 1
            spent = self._left < 0
            self.retries += not (spent or last)
        if last:
            what = "gives no answer that can be used" if error.answered else "does not answer"
            raise InputError(f"{name} {what}, tried {tried} times: {error}") from error
        if spent:
            raise InputError(f"{name} fails too often, last: {error}") from error
        if error.after is not None and error.after > _MOST_ASKED:
            raise InputError(f"{name} asks to wait {error.after:.0f} s: go on later ({error})") from error
        longest = min(_FIRST_WAIT * 2 ** (tried - 1), _LONGEST_WAIT)
        time.sleep(longest * random.uniform(0.5, 1.0) if error.after is None else error.after)
