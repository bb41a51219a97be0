"""Tasks on workers that die: in processes of this machine, and in actors of Ray."""

import functools
import os
import pathlib
import signal
import time

import pytest

from tfrobust import engines
from tfrobust.engines.local import LocalEngine
from tfrobust.engines.ray import RayEngine
from tfrobust.errors import InputError


def _make(folder, deadly=(), wrong=(), refuses=False):
    """In a worker: a function that leaves a file for each task; some tasks kill their process, or fail."""
    if refuses:
        raise InputError("the model is\nmissing")
    pathlib.Path(folder, f"made-{os.getpid()}").touch()

    def work(task):
        tries = len(list(pathlib.Path(folder).glob(f"{task}-*")))
        pathlib.Path(folder, f"{task}-{tries}-{os.getpid()}").touch()
        time.sleep(0.02)
        if task in deadly and tries < deadly[task]:
            os.kill(os.getpid(), signal.SIGKILL)
        if task in wrong:
            raise ValueError(f"task {task} is wrong")

    return work


def _files(folder, task):
    return len(list(folder.glob(f"{task}-*")))


ENGINES = {"local": LocalEngine, "ray": functools.partial(RayEngine, workers=2)}


@pytest.fixture(params=ENGINES, scope="module")
def engine(request):
    """The class, or what is called like it; Ray where it is installed."""
    if request.param == "ray":
        ray = pytest.importorskip("ray", reason="Ray is tried where it is installed")
        yield ENGINES["ray"]
        ray.shutdown()
    else:
        yield ENGINES[request.param]


def test_every_task_is_done_once_and_each_worker_is_made_once(engine, tmp_path):
    told = []
    made = engine(functools.partial(_make, str(tmp_path)))
    assert engines.run(made, range(9), 2, lambda task, reply: told.append((task, reply.kind))) == {}
    assert sorted(told) == [(task, "done") for task in range(9)]
    assert all(_files(tmp_path, task) == 1 for task in range(9))
    assert len(list(tmp_path.glob("made-*"))) == 2


def test_a_task_whose_worker_dies_is_done_by_another_one_and_given_up_after_two(engine, tmp_path):
    made = engine(functools.partial(_make, str(tmp_path), deadly={1: 1, 4: 9}, wrong=(2,)))
    failures = engines.run(made, range(6), 2, lambda task, reply: None)
    assert failures.keys() == {2, 4}
    assert "task 2 is wrong" in failures[2] and "engine_test.py" in failures[2]
    assert failures[4].startswith("2 workers died of it")
    assert [_files(tmp_path, task) for task in range(6)] == [1, 2, 1, 1, 2, 1]
    assert len(list(tmp_path.glob("made-*"))) in (
        4,
        5,
    )  # two, and one for each death after which there is something to do


def test_what_a_worker_cannot_be_made_of_ends_the_run_with_a_line(engine, tmp_path):
    made = engine(functools.partial(_make, str(tmp_path), refuses=True))
    with pytest.raises(InputError, match="the model is missing"):
        engines.run(made, range(3), 2, lambda task, reply: None)


def test_each_local_worker_has_cores_of_its_own(tmp_path):
    def cores(name):
        return {int(path.name.rpartition("-")[2]) for path in tmp_path.glob(f"{name}-*")}

    engines.run(LocalEngine(functools.partial(_cores, str(tmp_path))), range(2), 2, lambda task, reply: None)
    every = os.sched_getaffinity(0)
    assert cores("worker") == set(sorted(every)[:2]) and len(list(tmp_path.glob("worker-*"))) == min(2, len(every))


def _cores(folder):
    (core,) = os.sched_getaffinity(0)
    pathlib.Path(folder, f"worker-{core}").touch()
    return lambda task: None
