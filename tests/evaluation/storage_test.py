"""Many large images: what an evaluation keeps of them lies on disk."""

import gc

import numpy as np
import pytest

from tests.support import classifiers
from tfrobust import evaluate
from tfrobust.evaluation import storage

IMAGES = classifiers.random_images(23)


@pytest.mark.parametrize("in_memory", [0, 10**6])
def test_images_are_changed_row_by_row_and_leave_no_file(monkeypatch, tmp_path, in_memory):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(storage, "_AT_ONCE", IMAGES[:4].nbytes)
    kept = storage.Images(IMAGES, in_memory)
    kept.write(np.array([3, 7]), np.zeros_like(IMAGES[:2]))
    expected = IMAGES.copy()
    expected[[3, 7]] = 0
    np.testing.assert_array_equal(kept.array(), expected)
    assert len(list(tmp_path.iterdir())) == (0 if in_memory else 1)
    assert isinstance(kept.array(), np.memmap) == (not in_memory)
    del kept
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_parts_are_whole_batches_and_cover_all_rows(monkeypatch):
    monkeypatch.setattr(storage, "_AT_ONCE", IMAGES[:9].nbytes)
    found = list(storage.parts(IMAGES, multiple=4))
    assert [(rows.start, rows.stop) for rows in found] == [(0, 8), (8, 16), (16, 24)]
    np.testing.assert_array_equal(
        storage.by_parts(lambda part: part.sum(axis=(1, 2, 3)), IMAGES), IMAGES.sum((1, 2, 3))
    )


def test_an_evaluation_on_disk_says_the_same(monkeypatch, tmp_path):
    network = classifiers.smooth_network()
    labels = network(IMAGES).numpy().argmax(axis=1)

    def run():
        found = evaluate(
            network, IMAGES, labels, ["pgd(linf(0.03), steps=3)"], progress=False, batch_size=5, active_checks=False
        )
        return found, {**found.report["attacks"][0], "seconds": 0}, found.report["curves"]

    whole, row, curves = run()
    monkeypatch.setattr(storage, "_IN_MEMORY", 0)
    monkeypatch.setattr(storage.Images.__init__, "__defaults__", (0,))
    monkeypatch.setattr(storage, "_AT_ONCE", IMAGES[:6].nbytes)
    parted, other_row, other_curves = run()
    assert isinstance(parted.outcomes[0].adversarial, np.memmap)
    assert (row, curves) == (other_row, other_curves)
    np.testing.assert_array_equal(whole.outcomes[0].rounded, parted.outcomes[0].rounded)
