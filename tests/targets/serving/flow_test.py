"""How many requests are made at once: more as long as that makes the server faster, half of them when it is overloaded."""

import threading
import time

import pytest

from tfrobust.targets.serving.flow import Concurrency


def _settled(concurrency, speed):
    """How many requests are made at once after a while, by a server of that speed for so many, with noise."""
    limits = []
    for window in range(200):
        seconds = 100.0 / speed(concurrency.limit) * (1.0 + 0.01 * (-1) ** window)
        limits.append(concurrency.limit)
        concurrency.completed(100, seconds)
    return sum(limits[100:]) / 100


def test_more_are_made_at_once_as_long_as_the_server_gains():
    assert 8.0 <= _settled(Concurrency(), lambda limit: min(limit, 8)) < 8.5
    assert 2.0 <= _settled(Concurrency(), lambda limit: 1.0) < 2.5


def test_a_server_that_gets_more_workers_gets_more_requests():
    concurrency = Concurrency()
    _settled(concurrency, lambda limit: min(limit, 2))
    assert _settled(concurrency, lambda limit: min(limit, 6)) > 5.0


def test_overload_halves_what_runs_at_once():
    concurrency = Concurrency()
    _settled(concurrency, lambda limit: min(limit, 8))
    before = concurrency.limit
    concurrency.overloaded()
    assert concurrency.limit == before // 2
    concurrency.overloaded()
    assert concurrency.limit >= 1


def test_never_more_than_allowed():
    concurrency, lock, running = Concurrency(most=3), threading.Lock(), [0, 0]

    def task(number):
        with lock:
            running[0] += 1
            running[1] = max(running)
        time.sleep(0.001)
        with lock:
            running[0] -= 1
        return number

    assert concurrency.run(task, range(200)) == list(range(200))
    assert running[1] <= 3


def test_an_error_is_raised_after_what_was_begun_has_ended():
    ended = []

    def task(number):
        if number == 0:
            raise ValueError("first")
        time.sleep(0.05)
        ended.append(number)

    with pytest.raises(ValueError, match="first"):
        Concurrency().run(task, range(100))
    assert ended == [1]
