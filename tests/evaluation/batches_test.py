"""Evaluations that go on after a stop."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import attacks, evaluate, targets
from tfrobust.evaluation.batches import FinishedBatches, default_size
from tfrobust.targets import identity

IMAGES = classifiers.random_images(23)
NETWORK = classifiers.smooth_network()
LABELS = np.argmax(NETWORK(IMAGES), axis=1)
ATTACKS = ["pgd(linf(0.03), steps=3)", "deepfool()"]


class StopError(Exception):
    """The user presses Ctrl-C."""


class StoppingTarget(targets.KerasTarget):
    """Stops after so many batches of gradients."""

    def __init__(self, model, batches):
        super().__init__(model)
        self.batches = batches

    def predictor(self):
        predict = super().predictor()

        def counted(images):
            self.batches -= 1
            if self.batches < 0:
                raise StopError
            return predict(images)

        return counted


def run(model, finished=None, seed=0, attacks=ATTACKS):
    return evaluate(
        model, IMAGES, LABELS, attacks, batch_size=5, seed=seed, progress=False, finished=finished, active_checks=False
    )


def rows(evaluation):
    return [{**row, "seconds": None} for row in evaluation.report["attacks"]]


def test_a_stopped_evaluation_goes_on_and_ends_with_the_same_report(tmp_path):
    """14 predictions of the clean images, the first 20 thrice, the others twice, then one for each attacked batch and
    for each that is rounded: stopped in the second attack.
    """
    with pytest.raises(StopError):
        run(StoppingTarget(NETWORK, 14 + 5 + 5 + 2), tmp_path)
    kept = len(list(tmp_path.glob("*.npz")))
    assert 5 < kept < 10
    written = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again, whole = run(NETWORK, tmp_path), run(NETWORK)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert rows(again) == rows(whole)
    for one, other in zip(again.outcomes, whole.outcomes):
        np.testing.assert_array_equal(one.adversarial, other.adversarial)


def test_batches_of_another_seed_or_model_are_not_taken(tmp_path):
    pgd = ATTACKS[:1]
    run(NETWORK, tmp_path, attacks=pgd)
    assert rows(run(NETWORK, tmp_path, 1, pgd)) == rows(run(NETWORK, seed=1, attacks=pgd))
    other = classifiers.smooth_network(seed=1)
    kept, alone = (run(other, folder, attacks=pgd).outcomes[0] for folder in (tmp_path, None))
    np.testing.assert_array_equal(kept.adversarial, alone.adversarial)


def test_a_damaged_file_is_computed_anew(tmp_path):
    batches, batch = FinishedBatches(tmp_path, "attack"), [np.zeros(3)]
    batches.get(batch, lambda: {"x": np.arange(3)})
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:40])
    np.testing.assert_array_equal(batches.get(batch, lambda: {"x": np.arange(4)})["x"], np.arange(4))


def test_a_model_with_equal_answers_and_other_gradients_gets_numbers_of_its_own(tmp_path):
    """As an export whose backward pass is lost: its answers say nothing of what an attack on it finds."""

    class Flat(targets.KerasTarget):
        def logits(self, images):
            return tf.stop_gradient(super().logits(images)) + 0.0 * tf.reduce_sum(images)

    other = rows(run(NETWORK, tmp_path, attacks=ATTACKS[:1]))
    (own,) = rows(run(Flat(NETWORK), tmp_path, attacks=ATTACKS[:1]))
    assert own["median_linf"] is None or own["success_rate"] < other[0]["success_rate"]


def test_attacks_of_equal_text_and_other_values_do_not_replace_each_other(tmp_path):
    halves = [np.arange(6)[:, None] < 3 & np.ones([6, 5], bool), np.arange(6)[:, None] >= 3 & np.ones([6, 5], bool)]
    found = []
    for half in halves:
        np.save(tmp_path / "half.npy", half)
        attack = attacks.parse(f"restricted(pgd(linf(0.1), steps=2), '{tmp_path / 'half.npy'}')")
        found.append(attack)
    both = evaluate(NETWORK, IMAGES, LABELS, found, progress=False, finished=tmp_path / "kept", active_checks=False)
    changed = [(outcome.adversarial != IMAGES).any(axis=(0, 3)) for outcome in both.outcomes]
    for half, pixels in zip(halves, changed, strict=True):
        assert pixels.any() and not (pixels & ~half).any()
    assert len({row["attack"] for row in both.report["attacks"]}) == 2


def test_what_a_python_function_computes_is_not_kept(tmp_path):
    run_square = ["square(linf(0.1), queries=2)"]
    evaluate(lambda images: NETWORK(images).numpy(), IMAGES, LABELS, run_square, progress=False, finished=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("changed", ["weights", "wiring", "function"])
def test_a_graphs_identity_is_what_it_computes(changed):
    def make(scale=1.0, swapped=False, function=tf.tanh):
        weights = tf.Variable([[1.0, 2.0], [3.0, 4.0]])
        weights.assign(scale * weights)

        def logits(images):
            left, right = images[:, 0, 0], images[:, 1, 0]
            return function(left) @ weights - (left if swapped else right)

        return identity.of_graph(logits, (2, 1, 2))

    other = {"weights": {"scale": 2.0}, "wiring": {"swapped": True}, "function": {"function": tf.sin}}[changed]
    assert make() == make() != make(**other)


def test_a_files_identity_is_the_same_wherever_it_is_loaded_and_depends_on_which_weight_is_which(tmp_path):
    """TensorFlow lists a graph's variables by where they lie in memory, which differs from process to process."""
    layers = [keras.layers.Dense(3, use_bias=False, activation="tanh") for _ in range(8)]
    network = keras.Sequential([keras.Input((2, 1, 3)), *layers, keras.layers.Flatten()])
    network.save(tmp_path / "model.keras")
    loaded = [targets.load(tmp_path / "model.keras") for _ in range(4)]
    assert len({target.identity() for target in loaded}) == 1
    first, second = loaded[0].model.layers[:2]
    kernels = first.get_weights(), second.get_weights()
    first.set_weights(kernels[1]), second.set_weights(kernels[0])
    assert loaded[0].identity() != loaded[1].identity()


def test_the_default_batch_is_100_images_or_16_mib_of_floats():
    assert [default_size((side, side, 3)) for side in (28, 64, 128, 224, 320, 4000)] == [100, 100, 85, 27, 13, 1]
    assert default_size((28, 28, 1), most=200) == 200
    asked = []

    def scores(images):
        asked.append(len(images))
        return np.stack([images.mean((1, 2, 3)), -images.mean((1, 2, 3))], axis=1)

    images = np.full([20, 300, 300, 3], 51, "uint8")
    evaluate(scores, images, np.zeros(20, int), [], progress=False)
    assert set(asked) == {15}
    evaluate(scores, images, np.zeros(20, int), [], progress=False, batch_size=4)
    assert set(asked) == {15, 4}
