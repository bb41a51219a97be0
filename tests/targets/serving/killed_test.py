"""Runs that are killed, and servers that are: the log goes on where it was, and nothing is lost or asked for twice."""

import contextlib
import os
import pathlib
import random
import signal
import sys
import threading
import time

import numpy as np
import pytest

import tfrobust as tfr
from tests.support import programs
from tests.support.servers import environments, rest
from tfrobust import targets
from tfrobust.cli import program
from tfrobust.targets import EndpointConfig
from tfrobust.targets.serving.query_log import QueryLog

IMAGES = np.random.default_rng(0).uniform(size=[24, 4, 4, 1]).astype("float32")
LABELS = rest.logits(IMAGES).argmax(axis=1)
ATTACK = "square(linf(0.1), queries=120)"


def _evaluated(address, **config):
    target = targets.load(address, endpoint=EndpointConfig(images_per_request=4, **config))
    return tfr.evaluate(target, IMAGES, LABELS, ATTACK, progress=False)


@pytest.fixture(scope="module")
def undisturbed():
    """The broken images, how many queries it takes, and how often each image is asked about."""
    with rest.running() as server:
        found = _evaluated(server.address)
        return found.outcomes[0].broken, server.answered, server.asked


def _run(address, log, result):
    """In a process of its own."""
    program.end_in_order_when_told()
    found = _evaluated(address, query_log=log)
    np.savez(
        result, broken=found.outcomes[0].broken, **{k: v for k, v in found.report["endpoint"].items() if "queries" in k}
    )


@pytest.mark.parametrize("how, kills", [(signal.SIGKILL, 20), (signal.SIGTERM, 8)])
def test_killed_runs_lose_and_repeat_nothing(undisturbed, tmp_path, how, kills):
    broken, queries, asked = undisturbed
    requests_a_run = random.Random(0).choices(range(1, 9), k=kills)
    answered_at_kill, answered_later, started = [], 0, threading.Event()
    with rest.running() as server:

        def kill(server):
            """The running process, when it has made as many requests as it is granted; its last one is answered all the same."""
            started.wait()  # a process may be faster than the line that names it
            with server.lock:
                left[0] -= 1
                now = left[0] == 0
            if now:
                answered_at_kill.append(server.answered)
                os.kill(child.pid, how)

        server.before = kill
        for granted in [*requests_a_run, 10**6]:
            left = [granted]
            started.clear()
            child = programs.forked(_run, server.address, tmp_path / "log", tmp_path / "result.npz")
            started.set()
            child.join()
            _settle(server)
            if granted < 10**6:
                answered_later += server.answered - answered_at_kill[-1]
    assert len(answered_at_kill) == kills and child.exitcode == 0
    with np.load(tmp_path / "result.npz") as result:
        np.testing.assert_array_equal(result["broken"], broken)
        assert result["queries"] == queries
        # A request that was killed may have been counted as sent before it was made.
        assert 0 <= result["queries"] + result["queries_without_answer"] - sum(server.requests) <= 4 * kills
    assert server.asked.keys() == asked.keys()
    repeated = server.asked - asked
    if how == signal.SIGTERM:
        assert not repeated
    assert sum(repeated.values()) <= answered_later + 4 * kills  # and what was answered while it died


def _settle(server):
    """Until the server has answered what was under way."""
    known = -1
    while known != server.answered:
        known = server.answered
        time.sleep(0.02)


@contextlib.contextmanager
def _server(port, counted):
    """A server in a process of its own."""
    command = (sys.executable, "-m", "tests.support.servers.rest", port, counted)
    with environments.process(*command, cwd=programs.ROOT) as started:
        yield started, started.stdout.readline().strip()


def test_a_server_that_is_killed_and_comes_back_is_waited_for(undisturbed, tmp_path):
    broken, queries, _ = undisturbed
    counted = tmp_path / "counted"

    def restart():
        """Kills the server in the middle of the run, and starts it again on its port."""
        while not counted.exists() or len(counted.read_text().split()) < 40:
            time.sleep(0.005)
        server.kill()
        server.wait()
        time.sleep(0.3)
        again.enter_context(_server(address.rpartition(":")[2].partition("/")[0], counted))

    with contextlib.ExitStack() as again, _server(0, counted) as (server, address):
        thread = threading.Thread(target=restart)
        thread.start()
        found = _evaluated(address)
        thread.join()
    np.testing.assert_array_equal(found.outcomes[0].broken, broken)
    asked = found.report["endpoint"]
    assert asked["queries"] == queries and asked["retries"] > 0
    assert queries <= sum(map(int, counted.read_text().split())) <= queries + asked["queries_without_answer"]


def test_a_file_that_is_no_log_is_refused(tmp_path):
    path = pathlib.Path(tmp_path, "log")
    path.write_bytes(b"no database" * 100)
    with pytest.raises(tfr.InputError, match="no log of queries"):
        QueryLog(path)


def test_the_answers_of_another_version_are_not_taken_for_this_ones(tmp_path):
    with rest.running() as server:
        first = targets.load(server.address, endpoint=EndpointConfig(query_log=tmp_path / "log")).logits(IMAGES)
        server.version, server.answer = 2, lambda images: -rest.logits(images)
        second = targets.load(server.address, endpoint=EndpointConfig(query_log=tmp_path / "log")).logits(IMAGES)
    np.testing.assert_allclose(first, -second)
