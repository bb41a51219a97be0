"""Images and labels in .npz files."""

import numpy as np
import pytest

from tests.support import classifiers
from tfrobust import data
from tfrobust.errors import EmptyShardError, InputError

IMAGES = classifiers.random_images(3, (4, 4, 1))


def test_own_images_come_from_an_npz_file(tmp_path):
    np.savez(tmp_path / "own.npz", images=IMAGES, labels=[0, 2, 1])
    split = data.load(tmp_path / "own.npz", "test")
    np.testing.assert_array_equal(split.floats(), IMAGES)
    assert split.classes == 3


@pytest.mark.parametrize("contents", [b"", b"PK\x03\x04 not really", None])
def test_a_file_that_cannot_be_used_is_refused(tmp_path, contents):
    path = tmp_path / "own.npz"
    if contents is None:
        np.savez(path, pictures=IMAGES)
    else:
        path.write_bytes(contents)
    with pytest.raises(InputError, match=r"own\.npz"):
        data.load(path, "test")


PIXELS = np.round(IMAGES * 255).astype("uint8")


@pytest.mark.parametrize(
    "names",
    [
        {"images": PIXELS, "labels": [0, 2, 1]},
        {"x_test": PIXELS, "y_test": [[0], [2], [1]], "x_train": PIXELS[:1], "y_train": [5]},
        {"X_test": PIXELS, "Y_test": np.eye(3)[[0, 2, 1]]},
        {"x": PIXELS, "y": [0, 2, 1]},
        {"test_images": PIXELS, "test_labels": [0, 2, 1], "train_images": PIXELS[:1], "train_labels": [5]},
        {"images": PIXELS.astype("int64"), "labels": np.array([0, 2, 1], "uint8")},
    ],
)
def test_arrays_are_found_by_the_names_that_people_give_them(tmp_path, names):
    np.savez(tmp_path / "own.npz", **names)
    split = data.load(tmp_path / "own.npz", "test")
    assert split.images.dtype == np.uint8 and split.labels.dtype == np.int64 and split.classes == 3
    np.testing.assert_array_equal(split.images, PIXELS)
    np.testing.assert_array_equal(split.labels, [0, 2, 1])
    first = data.load(tmp_path / "own.npz", "test", examples=2)
    np.testing.assert_array_equal(first.images, PIXELS[:2])
    assert first.classes == 3


def test_the_training_split_is_never_the_test_images(tmp_path):
    np.savez(tmp_path / "own.npz", x_test=PIXELS, y_test=[0, 2, 1])
    with pytest.raises(InputError, match=r"x_train and y_train, it holds \['x_test', 'y_test'\]"):
        data.load(tmp_path / "own.npz", "train")


def test_floats_on_a_models_own_scale_are_taken_with_its_bounds(tmp_path):
    np.savez(tmp_path / "own.npz", images=PIXELS.astype("float64"), labels=[0, 2, 1])
    with pytest.raises(InputError, match=r"own\.npz: images must lie in \[0, 1\].*/ 255.*--bounds=0,255"):
        data.load(tmp_path / "own.npz", "test")
    split = data.load(tmp_path / "own.npz", "test", bounds=(0, 255))
    np.testing.assert_array_equal(split.floats(), PIXELS.astype("float32") / np.float32(255))


def test_a_shard_is_read_as_its_part_of_the_whole_would_be(tmp_path):
    """What the images are shows in all of them: one shard here holds zeros and ones alone, another floats below 1."""
    dark = np.stack([PIXELS[0], PIXELS[1] % 2, PIXELS[2]])
    for images in (dark, dark.astype("float32")):
        np.savez(tmp_path / "own.npz", images=images, labels=[0, 2, 1])
        whole = data.load(tmp_path / "own.npz", "test", bounds=(0, 255))
        for index in range(3):
            part = data.load(tmp_path / "own.npz", "test", bounds=(0, 255), shard=(index, 3))
            np.testing.assert_array_equal(part.images, whole.images[index::3])
            assert part.labels.tolist() == [[0], [2], [1]][index] and part.classes == 3


def test_a_shard_of_too_few_examples_says_so(tmp_path):
    np.savez(tmp_path / "own.npz", images=PIXELS, labels=[0, 2, 1])
    for name in (tmp_path / "own.npz", "digits"):
        with pytest.raises(EmptyShardError, match="shard 3 of 4 has none of the 3 examples"):
            data.load(name, "test", examples=3, shard=(3, 4))
