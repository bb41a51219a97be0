"""The comparison with other libraries: tfrobust's own side of it, and what is concluded. The peers are not installed."""

import json
import pathlib
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks.peers import compare, comparisons, environment, sides, table
from tests.support import classifiers, programs
from tfrobust import attacks, balls, data


def test_own_side_is_measured_on_digits(tmp_path):
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
    network.save(tmp_path / "model.keras")
    test = data.load("digits", "test").take(6)
    right = (network.predict(test.floats(), verbose=0).argmax(axis=1) == test.labels).mean()
    found = tmp_path / "found.json"
    programs.succeed(
        *("benchmarks.peers", f"--model={tmp_path / 'model.keras'}", "--dataset=digits", "--peer=none"),
        *("--examples=6", "--steps=2", "--rounds=2", "--attack=pgd", "--attack=jsma", f"--output={found}"),
    )
    pgd, jsma = json.loads(found.read_text())["results"]
    assert (pgd["attack"], jsma["attack"]) == ("pgd(linf(0.1), steps=2)", "jsma(gamma=2*2/784, targeted=True)")
    assert pgd["traces"] == jsma["traces"] == 1
    (row,) = pgd["sides"]
    assert row["queries"] == pytest.approx(1 + 2 * right)  # all images, then two steps of what is classified correctly
    assert row["images_per_second"] > 0 and 0 <= row["broken"] <= 1
    assert [aim["aim"] for aim in pgd["aims"]] == ["time at most 1.08 times that of as many bare gradients"]
    assert pgd["aims"][0]["value"] == row["times_floor"]


@pytest.mark.parametrize("name", comparisons.COMPARISONS)
def test_attack_has_the_steps_that_are_asked_for(name):
    attack = attacks.parse(comparisons.COMPARISONS[name].attack.format(steps=7, values=84))
    budget = {"square": "queries", "jsma": "gamma"}.get(name, "steps")
    assert getattr(attack, budget) == (2 * 7 / 84 if name == "jsma" else 7)


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    """Eight images, of which the model is right about six."""
    path = tmp_path_factory.mktemp("peers") / "model.keras"
    network = classifiers.smooth_network()
    network.save(path)
    images = classifiers.random_images(8)
    labels = network(images).numpy().argmax(axis=1)
    labels[6:] = (labels[6:] + 1) % 4
    return compare.pose(path, types.SimpleNamespace(floats=lambda: images, labels=labels, classes=4))


def test_problem_has_goals_and_images_near_the_boundary(problem):
    np.testing.assert_array_equal(problem.predicted[:6], problem.labels[:6])
    assert (problem.runners_up != problem.labels).all() and (problem.runners_up[6:] == problem.predicted[6:]).all()
    np.testing.assert_array_equal(problem.predict(problem.near), problem.predicted)
    assert (problem.near[:6] != problem.images[:6]).any() and (problem.near[6:] == problem.images[6:]).all()


@pytest.mark.parametrize("name", sorted(comparisons.COMPARISONS))
def test_examples_that_are_done_cost_one_query(problem, name):
    comparison = comparisons.COMPARISONS[name]
    attack = attacks.parse(comparison.attack.format(steps=3, values=90))
    done = compare.done_labels(problem, comparison.targeted)
    open_ones = problem.runners_up if comparison.targeted else problem.labels
    for labels, asked in ((done, [8]), (open_ones, range(9, 100_000))):
        problem.model.seen.assign(0)
        attack(problem.model, tf.constant(problem.images), tf.constant(labels), seed=0)
        assert int(problem.model.seen) in asked


def measured(name, adversarial, seconds=1.0):
    return sides.Side(name, [], len(adversarial), seconds=[seconds], seen=3 * len(adversarial), adversarial=adversarial)


def test_rows_judge_what_a_side_returned():
    images = np.full([4, 1, 2, 1], 0.5, "float32")
    adversarial = images.copy()
    adversarial[:, 0, 0, 0] += [0.3, -0.1, 0.4, 0.6]  # the last leaves [0, 1]
    labels = np.zeros(4, "int32")

    def predict(shown):
        return (shown[:, 0, 0, 0] > 0.5).astype("int32")

    row = table.row(measured("peer", adversarial, 2.0), images, labels, predict, balls.L2, targeted=False)
    assert (row["broken"], row["images_per_second"], row["queries"]) == (0.5, 2.0, 3.0)
    assert row["size"] == pytest.approx(0.35)
    goals = table.row(measured("peer", adversarial), images, labels, predict, balls.L2, targeted=True)
    assert goals["moved"].tolist() == [False, True, False, False]
    nothing = table.row(measured("peer", np.full_like(images, np.nan)), images, labels, predict, balls.L2, False)
    assert nothing["broken"] == 0 and nothing["size"] is None


def test_medians_are_of_images_that_both_broke():
    ours = {"images": 3, "moved": np.array([True, True, True]), "sizes": np.array([1.0, 4.0, 9.0])}
    peer = {"images": 2, "moved": np.array([True, False]), "sizes": np.array([2.0, 1.0])}
    assert table.relate(ours, peer) == 0.5
    assert table.relate(ours, {**peer, "moved": np.array([False, False])}) is None


def test_aims_hold_or_not():
    comparison = comparisons.Comparison("pgd", 40, "l2", speed=3.0, size=1.01, floor=1.08)
    ours = {"side": "tfrobust", "images_per_second": 30.0, "times_floor": 1.09}
    peers = [
        {"side": "foolbox", "images_per_second": 10.0, "times_size": 1.02},
        {"side": "art", "images_per_second": 2.0, "times_size": 0.5},
    ]
    assert [aim["holds"] for aim in table.aims(comparison, ours, peers)] == [True, False, False]
    ours = {**ours, "images_per_second": 29.0, "times_floor": 1.08}
    peers[0]["times_size"] = 1.01
    assert [aim["holds"] for aim in table.aims(comparison, ours, peers)] == [False, True, True]
    peers[0]["times_size"] = None  # nothing that both broke
    assert [aim["holds"] for aim in table.aims(comparison, ours, peers)] == [False, False, True]


@pytest.mark.parametrize("benchmark", ["peers", "optimality"])
def test_missing_peers_get_an_environment_of_their_own(tmp_path, monkeypatch, benchmark):
    calls = []
    monkeypatch.setattr(environment, "VENVS", tmp_path)
    monkeypatch.setattr(environment.subprocess, "run", lambda command, **_: calls.append([*map(str, command)]))
    monkeypatch.setattr(environment.os, "execv", lambda python, command: calls.append(command))
    environment.enter([], benchmark)
    environment.enter(["json"], benchmark)  # a module that is there
    assert calls == []
    (tmp_path / f"{benchmark}-venv").mkdir()
    environment.enter(["no_such_peer"], benchmark)
    make, install, again = calls
    assert make[1:3] == ["-m", "venv"] and "--requirement" in install
    assert pathlib.Path(install[install.index("--requirement") + 1]).parent.name == benchmark
    assert pathlib.Path(again[0]) == tmp_path / f"{benchmark}-venv/bin/python"
    assert again[1:3] == ["-m", f"benchmarks.{benchmark}"]
    del calls[:]
    environment.enter(["no_such_peer"], benchmark)
    assert calls == [again]
