"""Evaluations that go on after a stop."""

import numpy as np
import pytest

from tests.support import classifiers
from tfrobust import evaluate, targets
from tfrobust.evaluation.batches import FinishedBatches

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


def run(model, finished=None, seed=0):
    return evaluate(model, IMAGES, LABELS, ATTACKS, batch_size=5, seed=seed, progress=False, finished=finished)


def rows(evaluation):
    return [{**row, "seconds": None} for row in evaluation.report["attacks"]]


def test_a_stopped_evaluation_goes_on_and_ends_with_the_same_report(tmp_path):
    """11 predictions of the clean images, the first batch thrice, the others twice, then one for each attacked batch and
    for each that is rounded: stopped in the second attack.
    """
    with pytest.raises(StopError):
        run(StoppingTarget(NETWORK, 11 + 5 + 5 + 2), tmp_path)
    kept = len(list(tmp_path.glob("*.npz")))
    assert 5 < kept < 10
    written = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again, whole = run(NETWORK, tmp_path), run(NETWORK)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert rows(again) == rows(whole)
    for one, other in zip(again.outcomes, whole.outcomes):
        np.testing.assert_array_equal(one.adversarial, other.adversarial)


def test_batches_of_another_seed_or_model_are_not_taken(tmp_path):
    run(NETWORK, tmp_path)
    assert rows(run(NETWORK, tmp_path, seed=1)) == rows(run(NETWORK, seed=1))
    other = classifiers.smooth_network(seed=1)
    np.testing.assert_array_equal(run(other, tmp_path).outcomes[0].adversarial, run(other).outcomes[0].adversarial)


def test_a_damaged_file_is_computed_anew(tmp_path):
    batches, batch = FinishedBatches(tmp_path, "attack"), [np.zeros(3)]
    batches.get(batch, lambda: {"x": np.arange(3)})
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:40])
    np.testing.assert_array_equal(batches.get(batch, lambda: {"x": np.arange(4)})["x"], np.arange(4))
