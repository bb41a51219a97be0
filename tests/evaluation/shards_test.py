"""A shared evaluation: the same verdicts and the same report, however many share it, and no report of what does not belong together."""

import functools
import json
import os
import pathlib
import shutil
import signal
import threading

import keras
import numpy as np
import pytest

import tfrobust as tfr
from tests.support.classifiers import random_images, smooth_network
from tfrobust import data, engines, targets
from tfrobust.engines.local import LocalEngine
from tfrobust.errors import InputError
from tfrobust.evaluation import Attacker, EvaluationConfig, Shard, mark_failed, merge

ATTACKS = [
    "pgd(linf(0.005), steps=3)",
    "targeted(fgsm(linf(0.01)), goal=3)",
    "square(linf(0.02), queries=10)",
    "deepfool()",
    "cascade(linf(0.005), (apgd(linf(0.005), steps=5), square(linf(0.005), queries=20)))",
]
QUIET = EvaluationConfig(progress=False, batch_size=16, seed=3)
DIGITS = data.load("digits", "test").take(42)


@pytest.fixture(scope="module")
def model():
    """A network in float64: what is rounded otherwise in other batches is far below a change of verdict."""
    keras.config.set_dtype_policy("float64")
    try:
        return smooth_network()
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="module")
def test(model):
    """65 images, a few of which are misclassified."""
    images = random_images(65)
    labels = model.predict(images, verbose=0).argmax(axis=1)
    return data.Split(images, np.where(np.arange(65) % 13 == 5, (labels + 1) % 4, labels), 4)


@pytest.fixture(scope="module")
def alone(model, test):
    """The evaluation of one process."""
    return tfr.evaluate(model, test, None, ATTACKS, config=QUIET)


@pytest.fixture(scope="module")
def share(model, test, tmp_path_factory):
    """A function that makes so many shards, in an order, in a folder; one attacker, since tracing takes nearly all of the time."""
    elsewhere = tmp_path_factory.mktemp("shards")
    attacker = Attacker(model, ATTACKS, elsewhere, QUIET)

    def share(count, folder, order=None):
        folder.mkdir(exist_ok=True)
        for index in order or range(count):
            shutil.move(attacker.run(Shard(index, count), test.shard(index, count), None), folder)
        return folder

    return share


@pytest.fixture(scope="module")
def made(share, tmp_path_factory):
    """The folder of three shards."""
    return share(3, tmp_path_factory.mktemp("three"))


@pytest.fixture
def three(made, tmp_path):
    """A copy of it."""
    return shutil.copytree(made, tmp_path / "three")


def _share(model, test, count, folder, attacks, config=QUIET):
    attacker = Attacker(model, attacks, folder, config)
    for index in range(count):
        attacker.run(Shard(index, count), test.shard(index, count), None)


def _merged(model, test, count, folder, attacks=ATTACKS, config=QUIET):
    return merge(model, test, None, attacks, count=count, folder=folder, config=config)


def _without_seconds(report):
    """All else in a report, numbers to five digits: queries and traces, too, do not depend on who is in a batch with whom."""
    rows = [{**row, "seconds": 0} for row in report["attacks"]]
    kept = {**report, "attacks": rows, "warnings": sorted(warning["code"] for warning in report["warnings"])}
    return json.loads(json.dumps(kept), parse_float=lambda text: float(f"{float(text):.5g}"))


@pytest.mark.parametrize("count", [4, 80])
def test_any_number_of_shards_in_any_order_gives_the_report_of_one_process(model, test, alone, share, count, tmp_path):
    order = np.random.default_rng(count).permutation(min(count, 65)).tolist()
    share(count, tmp_path, order)
    found = _merged(model, test, count, tmp_path)
    for one, other in zip(found.outcomes, alone.outcomes):
        np.testing.assert_array_equal(one.broken, other.broken)
        np.testing.assert_allclose(one.adversarial, other.adversarial, atol=1e-6)
        np.testing.assert_array_equal(one.trace.reached, other.trace.reached)
        assert one.goals is None or (one.goals == other.goals).all()
    assert _without_seconds(found.report) == _without_seconds(alone.report)
    assert 0 < found.outcomes[0].broken.sum() < 65


def test_one_image_in_a_shard_does_not_pass_for_probabilities(tmp_path):
    """Logits that are positive and sum to one by chance, as those of one image here, are not taken for more."""

    def answer(images):
        return np.stack([images.mean(axis=(1, 2, 3)) * 2 - 0.5, 1.5 - images[:, 0, 0, 0] * 2], axis=1).astype("float32")

    images = random_images(4)
    images[2] = 0.5
    target, labels = targets.FunctionTarget(answer), answer(images).argmax(axis=1)
    assert targets.are_probabilities(answer(images[2:3])) and not targets.are_probabilities(answer(images))
    test, attacks = data.Split(images, labels, 2), ["square(linf(0.2), queries=5)"]
    for index in range(4):  # each in a process of its own, as it were
        Attacker(target, attacks, tmp_path, QUIET).run(Shard(index, 4), test.shard(index, 4), None)
    found = _merged(target, test, 4, tmp_path, attacks)
    assert found.report["answers"] == "logits"


def test_a_shard_that_is_there_is_not_made_again(model, test, three):
    before = {path: path.stat().st_mtime_ns for path in three.glob("*.npz")}
    _share(model, test, 3, three, ATTACKS)
    assert {path: path.stat().st_mtime_ns for path in three.glob("*.npz")} == before and len(before) == 3


WRONG = {
    "missing": lambda shards, folder: shards[1].unlink(),
    "failed": lambda shards, folder: (shards[1].unlink(), mark_failed(folder, Shard(1, 3), "out of memory")),
    "damaged": lambda shards, folder: shards[1].write_bytes(shards[1].read_bytes()[:-100]),
    "of other examples": lambda shards, folder: shutil.copy(shards[0], shards[1]),
}


def test_a_damaged_shard_is_made_again(model, test, tmp_path):
    _share(model, test, 3, tmp_path, ATTACKS[:1])
    path = sorted(tmp_path.glob("*.npz"))[1]
    before = np.load(path)["0/adversarial"]
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 255
    path.write_bytes(contents)
    with pytest.raises(InputError, match="damaged"):
        _merged(model, test, 3, tmp_path, ATTACKS[:1])
    _share(model, test, 3, tmp_path, ATTACKS[:1])
    np.testing.assert_array_equal(np.load(path)["0/adversarial"], before)


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_with_a_shard_is_said_and_nothing_is_merged(model, test, three, what):
    WRONG[what](sorted(three.glob("*.npz")), three)
    with pytest.raises(InputError, match=what) as raised:
        _merged(model, test, 3, three)
    assert "1" in str(raised.value) and "\n" not in str(raised.value)
    if what == "failed":
        assert "out of memory" in str(raised.value)


def test_shards_of_another_evaluation_are_refused(model, test, three):
    others = {
        "seed": {"config": QUIET.changed(seed=4)},
        "attacks": {"attacks": ATTACKS[:2]},
        "pixels": {"config": QUIET.changed(pixels="uint8")},
        "of 3 shards": {"count": 4},
    }
    for what, change in others.items():
        with pytest.raises(InputError, match=f"of another evaluation \\(.*{what}\\)"):
            _merged(**{"model": model, "test": test, "count": 3, "folder": three, **change})
    with pytest.raises(InputError, match=r"of another evaluation \(model\)"):
        _merged(smooth_network(seed=1), test, 3, three)
    images = test.images.copy()
    images[7, 0, 0, 0] += 0.01
    with pytest.raises(InputError, match="shard 1 of 3 is of other examples"):
        _merged(model, test._replace(images=images), 3, three)
    _share(model, test, 1, three, ATTACKS[1:2])  # beside the right ones
    with pytest.raises(InputError, match="of another evaluation"):
        _merged(model, test, 3, three)


def test_a_shard_under_the_name_of_another_evaluations_is_found(model, test, three, tmp_path):
    name = sorted(three.glob("*.npz"))[2].name
    _share(model, test, 3, tmp_path / "other", ATTACKS[1:2])
    shutil.copy(sorted((tmp_path / "other").glob("*.npz"))[2], three / name)
    with pytest.raises(InputError, match=f"{name} is not what its name says"):
        _merged(model, test, 3, three)


def test_a_model_that_answers_differently_each_time_is_judged_by_all_draws(test, tmp_path):
    network, generator = smooth_network(), np.random.default_rng(0)

    def answer(images):
        return network(images + generator.normal(size=images.shape, scale=0.002)).numpy()

    drawn, config = targets.FunctionTarget(answer), QUIET.changed(draws=25)
    _share(drawn, test, 3, tmp_path, ATTACKS[2:3], config)
    found = _merged(drawn, test, 3, tmp_path, attacks=ATTACKS[2:3], config=config)
    assert found.report["draws"] == 25 and found.outcomes[0].votes.drawn.shape == (25, 65)
    assert "RANDOM" in {warning["code"] for warning in found.report["warnings"]}


KINDS = ("model", "saved_model", "float32")


def _attacks(kind):
    return ["square(linf(0.2), queries=10)", *(["pgd(linf(0.1), steps=3)"] if kind == "model" else [])]


def _attacker(paths, folder, deadly):
    """In a worker: a function that attacks a shard of a model of each kind, and is killed in the middle of some, the first time."""
    attackers = [Attacker(path, _attacks(kind), f"{folder}/{kind}", QUIET) for kind, path in zip(KINDS, paths)]

    def attack(task):
        mark = pathlib.Path(folder, f"begun-{task}")
        if task in deadly and not mark.exists():
            mark.touch()
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGKILL)).start()
            threading.Event().wait(0.25)
        return attackers[task // 7].run(Shard(task % 7, 7), DIGITS.shard(task % 7, 7), None)

    return attack


def test_with_two_workers_killed_the_verdicts_are_those_of_one_process(artifacts, tmp_path):
    paths = [str(artifacts._asdict()[kind]) for kind in KINDS]
    make = functools.partial(_attacker, paths, str(tmp_path), (0, 12))
    assert engines.run(LocalEngine(make), range(21), 2, lambda task, reply: None) == {}
    assert len(list(tmp_path.glob("begun-*"))) == 2
    for kind, path in zip(KINDS, paths):
        found = _merged(targets.load(path), DIGITS, 7, tmp_path / kind, _attacks(kind))
        alone = tfr.evaluate(path, DIGITS, None, _attacks(kind), config=QUIET)
        for one, other in zip(found.outcomes, alone.outcomes):
            np.testing.assert_array_equal(one.broken, other.broken)
