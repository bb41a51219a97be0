"""Many large images: 8-bit ones stay so, what attacks make of them lies on disk, and nothing looks at all of them at once."""

import functools
import gc

import numpy as np
import pytest

from tests.support import classifiers
from tfrobust import data, evaluate
from tfrobust.evaluation import pixels as pixels_lib
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
    np.testing.assert_array_equal(kept[np.array([7, 1])], expected[[7, 1]])
    assert type(kept[3:5]) is np.ndarray and kept[3].shape == IMAGES.shape[1:]
    assert len(list(tmp_path.iterdir())) == (0 if in_memory else 1)
    assert isinstance(kept.array(), np.memmap) == (not in_memory)
    del kept
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_images_of_8_bits_stay_so_and_are_read_as_floats():
    pixels = np.arange(256, dtype="uint8").reshape(4, 8, 8, 1)
    images = storage.CleanImages(pixels)
    assert images.pixels is pixels and images.shape == (4, 8, 8, 1) and len(images) == 4
    for rows in (slice(1, 3), np.array([3, 0]), np.array([True, False, False, True]), 2):
        np.testing.assert_array_equal(images[rows], pixels[rows] / np.float32(255))
        assert images[rows].dtype == np.float32
    np.testing.assert_array_equal(np.asarray(images), pixels / np.float32(255))
    np.testing.assert_array_equal(pixels_lib.in_bytes(images[:]), pixels)


def test_parts_are_whole_batches_and_cover_all_rows(monkeypatch):
    monkeypatch.setattr(storage, "_AT_ONCE", IMAGES[:9].nbytes)
    found = list(storage.parts(IMAGES, multiple=4))
    assert [(rows.start, rows.stop) for rows in found] == [(0, 8), (8, 16), (16, 24)]
    np.testing.assert_array_equal(
        storage.by_parts(lambda part: part.sum(axis=(1, 2, 3)), IMAGES), IMAGES.sum((1, 2, 3))
    )


LEVELS = (IMAGES * 255).astype("uint8")
NETWORK = classifiers.smooth_network()
LABELS = NETWORK(LEVELS / np.float32(255)).numpy().argmax(axis=1)


@functools.cache
def whole():
    """The evaluation that the others must agree with, of a split."""
    return run(data.Split(LEVELS, LABELS, 4), None)


def run(images=LEVELS, labels=LABELS, **changes):
    """Two attacks in batches of 5."""
    names = ["pgd(linf(0.03), steps=3)", "deepfool(steps=3)"]
    found = evaluate(NETWORK, images, labels, names, progress=False, batch_size=5, **changes)
    for row in found.report["attacks"]:
        row["seconds"] = 0
    return found


@pytest.fixture
def expected():
    """Made before `reads`."""
    return whole()


@pytest.fixture
def reads(monkeypatch):
    """How many rows of images are read at a time, in an evaluation on disk, in parts of six images and samples of four."""
    counts = []

    def counted(read):
        def reading(self, rows):
            found = read(self, rows)
            counts.append(found.size // IMAGES[0].size)
            return found

        return reading

    monkeypatch.setattr(storage.Images.__init__, "__defaults__", (0,))
    monkeypatch.setattr(storage, "_AT_ONCE", IMAGES[:6].nbytes)
    monkeypatch.setattr("tfrobust.evaluation.evidence.SAMPLE", 4)
    monkeypatch.setattr("tfrobust.evaluation.prepare._ENOUGH", 5)
    for kind in (storage.CleanImages, storage.Images):
        monkeypatch.setattr(kind, "__getitem__", counted(kind.__getitem__))
    return counts


def test_an_evaluation_in_parts_and_on_disk_says_the_same(tmp_path, expected, reads):
    """Attacks, judge, checks, curves, numbers and pictures: none of them reads more than a part."""
    found = run()
    for name in ("attacks", "curves", "worst_case"):
        assert expected.report[name] == found.report[name]
    codes, others = ([warning["code"] for warning in one.report["warnings"]] for one in (expected, found))
    assert codes == others
    found.save(tmp_path / "report")
    found.save_examples(tmp_path / "examples.npz")
    found.save_adversarial(tmp_path / "images")
    assert max(reads) <= 6 and not isinstance(expected.outcomes[0].adversarial, np.memmap)
    for one, other in zip(expected.outcomes, found.outcomes, strict=True):
        assert isinstance(other.adversarial, np.memmap)
        np.testing.assert_array_equal(one.adversarial, other.adversarial)
        np.testing.assert_array_equal(one.rounded, other.rounded)


def test_images_of_8_bits_and_their_floats_are_evaluated_alike(expected):
    floats = run(LEVELS / np.float32(255), active_checks=False)
    assert expected.report["attacks"] == floats.report["attacks"]
    assert expected.clean.pixels is LEVELS and floats.clean.pixels.dtype == np.float32
    np.testing.assert_array_equal(expected.images, floats.images)
