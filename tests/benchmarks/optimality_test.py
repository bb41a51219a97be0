"""The measure of optimality in closed form, the search for a radius, and tfrobust's own side. The peers are not installed."""

import json
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks.optimality import picture, score, search, sides, table
from tests.support import programs

IMAGES = np.random.default_rng(0).uniform(0.3, 0.7, [8, 4, 4, 1]).astype("float32")


@pytest.fixture(scope="module")
def linear(tmp_path_factory):
    """The path of a linear network of two classes, and the gradient of its margin."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input([4, 4, 1]), keras.layers.Flatten(), keras.layers.Dense(2)])
    network.layers[-1].bias.assign([0.02, -0.02])
    path = tmp_path_factory.mktemp("optimality") / "model.keras"
    network.save(path)
    kernel = network.layers[-1].kernel.numpy()
    return path, kernel[:, 1] - kernel[:, 0]


def posed(path):
    network = keras.models.load_model(path)
    labels = network(IMAGES).numpy().argmax(axis=1)
    labels[7] = 1 - labels[7]  # misclassified
    return sides.pose(path, types.SimpleNamespace(images=IMAGES, floats=lambda: IMAGES, labels=labels, classes=2))


def test_optimality_is_one_for_the_best_and_zero_for_nothing():
    best = np.array([0.0, 1.0, 2.0, 4.0])
    assert score.optimality(best, best) == 1.0
    assert score.optimality(np.where(best > 0, np.inf, 0.0), best) == 0.0
    # The areas are 7/4, 3 times 4/4 and, an attack that needs 1 more everywhere, (2 + 3 + 4)/4: beyond 4 nothing counts.
    assert score.optimality(np.array([0.0, 2.0, 3.0, 5.0]), best) == pytest.approx(1 - (9 - 7) / (12 - 7))
    np.testing.assert_array_equal(score.nearest([[1.0, np.inf], [2.0, 3.0]]), [1.0, 3.0])


@pytest.mark.parametrize("passes", [80, 100, 400, 2000])
def test_the_rounds_of_halving_keep_to_the_passes(passes):
    """A round of an attack takes one forward pass more than steps, and it is judged by one more."""
    steps = search.schedule(passes)
    assert 0.8 * passes < 2 * sum(steps) + 2 * len(steps) <= passes


@pytest.mark.parametrize("start", [1e-3, 0.1, 50.0])
def test_halving_finds_the_radius_from_any_start(start):
    """An attack that breaks an image from its own radius on."""
    needed, asked = np.array([0.02, 0.3, 1.7, np.inf]), []
    images = np.zeros([4, 2, 2, 1], "float32")
    labels = np.arange(4)

    def attack(radius, steps, images, labels):
        assert isinstance(radius, float)
        asked.append(steps)
        return np.where(needed[labels, None, None, None] <= radius, np.float32(radius), 0.0) + np.zeros_like(images)

    made = search.smallest(
        search.one_radius_at_a_time(attack),
        lambda made, labels: made[:, 0, 0, 0] > 0,
        lambda delta: np.abs(delta).max((1, 2, 3)),
        images,
        labels,
        start,
        range(25),
    )
    assert sorted(set(asked)) == [*range(25)]
    np.testing.assert_allclose(made[:3, 0, 0, 0], needed[:3], rtol=1e-3)
    assert not made[3].any()


def test_attacks_on_a_linear_network_reach_the_distances_to_its_boundary(linear):
    path, normal = linear
    problem = posed(path)
    margins = np.abs(IMAGES.reshape(8, 16) @ normal + [-0.04])
    for norm, dual in (("linf", np.abs(normal).sum()), ("l2", np.linalg.norm(normal))):
        attacks = sides.attacks("tfrobust", norm, problem, 400)
        for name in [name for name in attacks if name.startswith(("fmn", "ddn", "apgd"))]:
            row = sides.measured("tfrobust", norm, name, attacks[name], problem)
            np.testing.assert_allclose(row["distances"][:7], margins[:7] / dual, rtol=0.05, err_msg=name)
            assert row["distances"][7] == 0 and 0 < row["forward"] + row["backward"] <= 400


def test_what_is_called_from_python_is_counted_as_what_is_compiled(linear):
    problem = posed(linear[0])
    x = tf.constant(IMAGES[:3])
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = problem.compiled(x)
    tape.gradient(logits, x)
    assert (int(problem.model.forward), int(problem.model.backward)) == (3, 3)


def test_a_peer_that_fails_is_reported_and_counts_for_nothing(linear):
    problem = posed(linear[0])

    def fails(images, labels):
        raise ValueError("of its own")

    rows = [sides.measured("art", "l2", "Fails", fails, problem)]
    rows.append(sides.measured("tfrobust", "l2", "nothing", lambda images, labels: images + np.float32(5), problem))
    rows.append(sides.measured("tfrobust", "l2", "inverts", lambda images, labels: 1 - images, problem))
    report = {"attacks": rows}
    assert [row["optimality"] for row in table.by_norm(report)["l2"]][-1] is None
    assert "ValueError: of its own" in table.table(report) and picture.curves(report).startswith(b"\x89PNG")


def test_finished_attacks_are_not_repeated(linear, tmp_path):
    path, _ = linear
    np.savez(tmp_path / "data.npz", images=IMAGES, labels=posed(path).labels)
    command = [
        "benchmarks.optimality",
        f"--model={path}",
        f"--dataset={tmp_path / 'data.npz'}",
        "--examples=8",
        "--passes=80",
    ]
    command += ["--peer=none", "--norm=linf", f"--output={tmp_path / 'found'}"]
    first = programs.succeed(*command)
    assert "| `fmn(linf, steps=38)` | tfrobust |" in first and (tmp_path / "found" / "optimality.png").exists()
    results = tmp_path / "found" / "optimality.json"
    report = json.loads(results.read_text())
    report["attacks"] = report["attacks"][:-1]
    results.write_text(json.dumps(report))
    second = programs.succeed(*command)
    assert second.count("passes") == 1  # one line of an attack that ran
    assert json.loads(results.read_text())["attacks"][:-1] == report["attacks"]
