"""TFDS data sets: read as far as they are used, and refused in seconds."""

import shutil
import time

import numpy as np
import pytest

from tests.support import shared
from tfrobust import data
from tfrobust.errors import InputError


@shared.needs_data
@pytest.mark.parametrize("name, shape", [("mnist", (28, 28, 1)), ("cifar10", (32, 32, 3))])
def test_tfds_data_loads_from_a_folder(name, shape):
    test = data.load(name, "test", data_dir=shared.DATA_DIR, download=False)
    assert test.images.shape == (10000, *shape) and test.images.dtype == np.uint8 and test.classes == 10


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
    for wrong in ({"examples": 0}, {"size": 28}, {"size": (0, 28)}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            data.load("digits", "test", **wrong)
    with pytest.raises(InputError, match="texts"):
        data.load(None, "test")


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A TFDS data dir with a set of one's own: photographs of several sizes, unlabeled test images."""
    import tensorflow_datasets as tfds

    folder = tmp_path_factory.mktemp("tfds")
    images = [np.full((4 + place % 3, 6, 3), place, "uint8") for place in range(9)]
    photos = {"validation": range(9), "test": range(2), "train": range(3)}
    features = tfds.features
    tfds.dataset_builders.store_as_tfds_dataset(
        name="photos",
        version="1.0.0",
        features=features.FeaturesDict({"image": features.Image(), "label": features.ClassLabel(num_classes=5)}),
        split_datasets={
            split: [
                (place, {"image": images[place], "label": -1 if split == "test" else place % 5}) for place in places
            ]
            for split, places in photos.items()
        },
        data_dir=folder,
    )
    tfds.dataset_builders.store_as_tfds_dataset(
        name="texts",
        version="1.0.0",
        features=features.FeaturesDict({"text": features.Text(), "label": np.int64}),
        split_datasets={"test": [(0, {"text": "a", "label": 1})]},
        data_dir=folder,
    )
    return folder


def test_any_data_set_with_image_and_label_loads(own):
    split = data.load("photos", "train", own, download=False, size=(4, 6))
    assert split.images.shape == (3, 4, 6, 3) and split.labels.tolist() == [0, 1, 2] and split.classes == 5
    assert sorted(set(split.images[:, 0, 0, 0].tolist())) == [0, 1, 2]


def test_unlabeled_test_images_are_not_taken(own):
    assert len(data.load("photos", "test", own, download=False, size=(4, 6)).labels) == 9
    with pytest.raises(InputError, match=r"no split 'tset'.*validation.*--test_split"):
        data.load("photos", "tset", own, download=False)
    assert len(data.load("photos", "validation[:4]", own, download=False, size=(4, 6)).labels) == 4


def test_sizes_that_differ_are_refused_unless_they_are_brought_to_one(own):
    with pytest.raises(InputError, match=r"several sizes.*--image_size"):
        data.load("photos", "validation", own, download=False)
    with pytest.raises(InputError, match="no image with one label, but"):
        data.load("texts", "test", own, download=False)


@shared.needs_data
def test_a_few_examples_are_read_without_the_rest(tmp_path):
    """The second half of the file is missing."""
    whole = data.load("mnist", "test", shared.DATA_DIR, download=False)
    folder = tmp_path / "mnist" / "3.0.1"
    shutil.copytree(shared.DATA_DIR / "mnist" / "3.0.1", folder, ignore=shutil.ignore_patterns("*train*"))
    (records,) = folder.glob("*tfrecord*")
    contents = records.read_bytes()
    records.write_bytes(contents[: len(contents) // 2])
    few = data.load("mnist", "test", tmp_path, download=False, examples=7)
    np.testing.assert_array_equal(few.images, whole.images[:7])
    np.testing.assert_array_equal(few.labels, whole.labels[:7])
    with pytest.raises(InputError, match="incomplete or damaged"):
        data.load("mnist", "test", tmp_path, download=False)


def test_other_classes_and_truth_values_are_columns(tmp_path):
    import tensorflow_datasets as tfds

    features = tfds.features
    kinds = {"camera": features.ClassLabel(names=["left", "right"]), "night": features.Scalar(np.bool_)}
    rest = {"image": features.Image(), "label": features.ClassLabel(num_classes=3), "file": features.Text()}
    rows = [
        {"image": np.zeros((4, 4, 3), "uint8"), "label": i % 3, "file": str(i), "camera": i % 2, "night": i == 4}
        for i in range(6)
    ]
    tfds.dataset_builders.store_as_tfds_dataset(
        name="cameras",
        version="1.0.0",
        features=features.FeaturesDict({**rest, **kinds}),
        split_datasets={"test": list(enumerate(rows))},
        data_dir=tmp_path,
    )
    found = data.load("cameras", "test", data_dir=tmp_path, download=False, examples=5)
    assert found.columns.keys() == {"camera", "night"}
    pairs = sorted(zip(found.columns["camera"].tolist(), found.columns["night"].tolist(), found.labels.tolist()))
    read = data.load("cameras", "test", data_dir=tmp_path, download=False)
    whole = sorted(zip(read.columns["camera"].tolist(), read.columns["night"].tolist(), read.labels.tolist()))
    assert whole == sorted((["left", "right"][i % 2], i == 4, i % 3) for i in range(6)) and set(pairs) <= set(whole)
    second = data.load("cameras", "test", data_dir=tmp_path, download=False, shard=(1, 2))
    np.testing.assert_array_equal(second.columns["camera"], read.columns["camera"][1::2])
