"""Data sets and what is refused as images."""

import time

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers, shared
from tfrobust import data
from tfrobust.errors import InputError

IMAGES = classifiers.random_images(3, (4, 4, 1))


def test_digits_are_real_images_of_ten_classes_split_once_and_for_all():
    train, test = data.load("digits", "train"), data.load("digits", "test")
    assert train.images.shape == (1438, 28, 28, 1) and test.images.shape == (359, 28, 28, 1)
    assert train.images.dtype == np.uint8 and train.images.max() == 255
    np.testing.assert_allclose(train.mean_image(), train.floats().mean(axis=0), atol=1e-5)
    assert sorted(set(test.labels)) == list(range(10)) and test.classes == 10
    assert not {image.tobytes() for image in train.images} & {image.tobytes() for image in test.images}


@shared.needs_data
@pytest.mark.parametrize("name, shape", [("mnist", (28, 28, 1)), ("cifar10", (32, 32, 3))])
def test_tfds_data_loads_from_a_folder(name, shape):
    test = data.load(name, "test", data_dir=shared.DATA_DIR, download=False)
    assert test.images.shape == (10000, *shape) and test.images.dtype == np.uint8 and test.classes == 10


def test_batches_are_float32_in_0_1_and_in_order():
    train = data.load("digits", "train").take(100)
    found = list(data.batches(train, 30))
    assert [len(labels) for _, labels in found] == [30, 30, 30, 10] and found[0][0].dtype == tf.float32
    np.testing.assert_allclose(np.concatenate([images for images, _ in found]), train.floats(), rtol=1e-6)


def epochs(**arguments):
    train = data.load("digits", "train").take(100)
    return [(images.numpy(), labels.numpy()) for images, labels in data.training_batches(train, 30, **arguments)]


def test_training_batches_are_shuffled_anew_in_each_epoch_but_alike_for_a_seed():
    found = epochs(seed=4, epochs=2)
    assert [len(labels) for _, labels in found] == [30] * 6
    first, second = (np.concatenate([labels for _, labels in part]) for part in (found[:3], found[3:]))
    assert (first != second).any()
    for (images, labels), (same_images, same_labels) in zip(found, epochs(seed=4, epochs=2), strict=True):
        np.testing.assert_array_equal(images, same_images)
        np.testing.assert_array_equal(labels, same_labels)
    assert (np.concatenate([labels for _, labels in epochs(seed=5)]) != first).any()


def test_training_batches_from_a_later_epoch_are_those_of_the_whole_run():
    whole = epochs(seed=4, epochs=3, augmentation=data.pad_crop_flip)
    rest = epochs(seed=4, epochs=3, first_epoch=2, augmentation=data.pad_crop_flip)
    assert len(rest) == 3
    for (images, _), (expected, _) in zip(rest, whole[6:], strict=True):
        np.testing.assert_array_equal(images, expected)


def test_an_iterator_before_does_not_change_the_order():
    """Keras looks at the data before it trains under some strategies."""
    batches = data.training_batches(data.load("digits", "train").take(100), 30, seed=4)
    first, again = ([labels.numpy() for _, labels in batches] for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_pad_crop_flip_shows_a_window_of_the_padded_image_mirrored_or_not():
    images = np.arange(1, 1 + 2 * 5 * 4).reshape(2, 5, 4, 1).astype("float32")
    windows = set()
    for seed in range(40):
        found = data.pad_crop_flip(tf.constant(images), [0, seed], padding=1).numpy()
        for image, result in zip(images, found):
            padded = np.pad(image, [(1, 1), (1, 1), (0, 0)])
            candidates = [
                (top, left, mirrored)
                for top in range(3)
                for left in range(3)
                for mirrored in (1, -1)
                if np.array_equal(padded[top : top + 5, left : left + 4][:, ::mirrored], result)
            ]
            assert len(candidates) == 1
            windows.add(candidates[0])
    assert len(windows) == 18  # all of them come


def test_own_images_come_from_an_npz_file(tmp_path):
    np.savez(tmp_path / "own.npz", images=IMAGES, labels=[0, 2, 1])
    split = data.load(tmp_path / "own.npz", "test")
    np.testing.assert_array_equal(split.floats(), IMAGES)
    assert split.classes == 3


@pytest.mark.parametrize(
    "images, labels, said",
    [
        ((IMAGES * 255).astype("uint8"), None, "uint8"),
        (IMAGES[0], None, r"\(4, 4, 1\)"),
        (IMAGES[:0], None, "no images"),
        (np.where(IMAGES[1, 2, 2, 0] == IMAGES, np.nan, IMAGES), None, "NaN.*image 1"),
        (IMAGES + np.array([0, 0, 1]).reshape(3, 1, 1, 1), None, "image 2"),
        (IMAGES - 0.5, None, r"\[0, 1\]"),
        (IMAGES, [0, 1], r"labels.*\[3\]"),
        (IMAGES, [0.0, 1.0, 2.0], "labels.*float"),
        (IMAGES, [0, -1, 1], "at least 0"),
    ],
)
def test_what_is_no_batch_of_images_is_refused(images, labels, said):
    with pytest.raises(InputError, match=said):
        data.check_images(images, labels)


@pytest.mark.parametrize("contents", [b"", b"PK\x03\x04 not really", None])
def test_a_file_that_cannot_be_used_is_refused(tmp_path, contents):
    path = tmp_path / "own.npz"
    if contents is None:
        np.savez(path, pictures=IMAGES)
    else:
        path.write_bytes(contents)
    with pytest.raises(InputError, match=r"own\.npz"):
        data.load(path, "test")


def test_missing_data_is_refused_at_once(tmp_path):
    started = time.monotonic()
    with pytest.raises(InputError, match="TFDS_DATA_DIR"):
        data.load("mnist", "test", data_dir=tmp_path, download=False)
    assert time.monotonic() - started < 20


@shared.needs_data
def test_an_incomplete_data_dir_is_refused(tmp_path):
    folder = tmp_path / "mnist" / "3.0.1"
    folder.mkdir(parents=True)
    for name in ("dataset_info.json", "features.json"):
        (folder / name).write_bytes((shared.DATA_DIR / "mnist" / "3.0.1" / name).read_bytes())
    with pytest.raises(InputError, match="incomplete or damaged"):
        data.load("mnist", "test", data_dir=tmp_path, download=False)


def test_an_unreachable_host_is_found_out_in_seconds(tmp_path, monkeypatch):
    """TFDS itself would go on trying for minutes. The host asked here is a port on this machine that nobody serves."""
    import tensorflow_datasets as tfds

    monkeypatch.setattr(tfds.core.DatasetBuilder, "url_infos", {"http://127.0.0.1:9/mnist": None})
    started = time.monotonic()
    with pytest.raises(InputError, match="does not answer"):
        data.load("mnist", "test", data_dir=tmp_path, download=True)
    assert time.monotonic() - started < 20


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(InputError, match="digits, mnist, cifar10"):
        data.load("minst", "test")
    with pytest.raises(InputError, match="train and test"):
        data.load("digits", "validation")
