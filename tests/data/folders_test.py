"""Folders of class folders of PNG and JPEG files."""

import io

import numpy as np
import PIL.Image
import pytest

from tests.support import classifiers, shared
from tfrobust import InputError, data, evaluate

RNG = np.random.default_rng(0)
COLOR = RNG.integers(0, 256, (6, 7, 5, 3), dtype="uint8")
GRAY = RNG.integers(0, 256, (6, 7, 5), dtype="uint8")


def write(folder, files):
    """A folder of files, each from an image or from bytes."""
    for name, image in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(image, bytes):
            path.write_bytes(image)
        else:
            PIL.Image.fromarray(image).save(path)
    return folder


def listed(folder, split="test"):
    """Each file's path and label, and the number of classes."""
    files = data.list_images(folder, split)
    paths = [str(path).removeprefix(f"{folder}/") for path in files.paths]
    return list(zip(paths, files.labels.tolist())), files.classes


def names(*paths):
    return dict.fromkeys(paths, GRAY[0])


LAYOUTS = {
    "names": (
        {**names("dog/b.png", "cat/a.jpg", "cat/c.JPEG", "ant/x.png", ".git/a.png"), "cat/notes.txt": b"text"},
        [("ant/x.png", 0), ("cat/a.jpg", 1), ("dog/b.png", 2), ("cat/c.JPEG", 1)],
        3,
    ),
    "numbers": (names("10/a.png", "2/a.png", "0/b.png"), [("0/b.png", 0), ("2/a.png", 2), ("10/a.png", 10)], 11),
    "padded": (names("007/1.png", "2/0.png", "00/2.png"), [("2/0.png", 2), ("007/1.png", 7), ("00/2.png", 0)], 8),
    "an empty class": ({"a/.keep": b"", **names("b/1.png")}, [("b/1.png", 1)], 2),
    "split": (names("train/a/1.png", "train/b/1.png", "test/b/1.png"), [("test/b/1.png", 1)], 2),
    "validation": (names("train/a/1.png", "val/a/1.png", "test/images/1.png"), [("val/a/1.png", 0)], 1),
    "Tiny-ImageNet": (
        {
            **names("train/n2/images/n2_0.JPEG", "train/n1/images/n1_0.JPEG"),
            **names("val/images/val_0.JPEG", "val/images/val_1.JPEG", "test/images/test_0.JPEG"),
            "val/val_annotations.txt": b"val_1.JPEG\tn1\t0\t0\t6\t4\nval_0.JPEG\tn2\t0\t0\t6\t4\n",
        },
        [("val/images/val_1.JPEG", 0), ("val/images/val_0.JPEG", 1)],
        2,
    ),
    "a class called train": (names("train/a.png", "bus/a.png"), [("bus/a.png", 0), ("train/a.png", 1)], 2),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_and_labels_of_a_folder(tmp_path, layout):
    files, expected, classes = LAYOUTS[layout]
    assert listed(write(tmp_path, files)) == (expected, classes)


def both(folder):
    """What is trained and what is tested on: paths inside the folder, and labels."""
    parts = data.training_and_test_images(folder)
    return [[path.removeprefix(f"{folder}/") for path in part.paths.tolist()] for part in parts], [
        part.labels.tolist() for part in parts
    ]


def test_every_fifth_file_in_the_order_of_names_is_tested_on_for_good(tmp_path):
    """Which ones these are must never change: networks were trained on the others."""
    files = names(*[f"{name}/{place}.png" for name in ("b", "a", "a-z") for place in range(4)], "10/x.png")
    (train, test), (_, labels) = both(write(tmp_path, files))
    assert test == ["a/3.png", "b/0.png"] and labels == [1, 3] and len(train) == 11
    assert train[:5] == ["10/x.png", "a/0.png", "a/1.png", "a/2.png", "a-z/0.png"]
    held_out = data.load(str(tmp_path), "held_out")
    assert held_out.labels.tolist() == labels and len(data.load(str(tmp_path), "test").labels) == 13


def test_of_numbered_classes_the_labels_are_the_numbers_in_training_too(tmp_path):
    (train, test), labels = both(write(tmp_path, names(*[f"{number}/0.png" for number in (0, 1, 2, 10, 3)])))
    assert (train, test) == (["0/0.png", "1/0.png", "10/0.png", "2/0.png"], ["3/0.png"]) and labels == [
        [0, 1, 10, 2],
        [3],
    ]


@pytest.mark.parametrize("other", ["val", "validation", "test"])
def test_a_split_folder_is_trained_on_as_it_is_split(tmp_path, other):
    files = names("train/b/1.png", "train/a/1.png", f"{other}/b/1.png")
    assert both(write(tmp_path, files)) == ([["train/a/1.png", "train/b/1.png"], [f"{other}/b/1.png"]], [[0, 1], [1]])


def test_validation_images_come_before_test_images(tmp_path):
    files = names("train/a/1.png", "test/a/1.png", "val/a/2.png")
    assert both(write(tmp_path, files))[0][1] == ["val/a/2.png"]


def test_what_cannot_be_trained_on_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"4 images in .* are too few: every fifth"):
        data.training_and_test_images(write(tmp_path / "few", names(*[f"a/{place}.png" for place in range(4)])))
    with pytest.raises(InputError, match=r"no training images of the class of .*val/b/1\.png"):
        data.training_and_test_images(write(tmp_path / "unknown", names("train/a/1.png", "val/b/1.png")))


def test_the_training_split_of_a_split_folder(tmp_path):
    files = LAYOUTS["Tiny-ImageNet"][0]
    expected = [("train/n1/images/n1_0.JPEG", 0), ("train/n2/images/n2_0.JPEG", 1)]
    assert listed(write(tmp_path, files), "train") == (expected, 2)


def test_the_first_files_are_of_all_classes(tmp_path):
    folder = write(tmp_path, names(*(f"{name}/{place}.png" for name in "abc" for place in range(1, 5))))
    assert data.load(folder, "test", examples=4).labels.tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize("quality", [50, 95])
def test_jpeg_is_decoded_as_pillow_does(tmp_path, quality):
    contents = io.BytesIO()
    smooth = np.cumsum(RNG.integers(0, 9, (33, 47, 3)), axis=1).astype("uint8")
    PIL.Image.fromarray(smooth).save(contents, "JPEG", quality=quality)
    write(tmp_path, {"a/0.jpg": contents.getvalue()})
    np.testing.assert_array_equal(data.load(tmp_path, "test").images[0], PIL.Image.open(contents))


@shared.needs_golden
def test_the_photographs_are_those_of_the_reference():
    folder = shared.FOLDER / "imagenet" / "samples"
    if not folder.is_dir():
        pytest.skip(f"needs {folder}")
    found, expected = data.load(folder, "test", examples=20), np.load(shared.GOLDEN / "efficientnet_lite0.npz")
    np.testing.assert_array_equal(found.images, expected["images"])
    np.testing.assert_array_equal(found.labels, expected["labels"])
    assert found.classes == 1000 and found.images.dtype == np.uint8


@pytest.mark.parametrize("channels, expected", [(1, 1), (3, 3), (4, 4), (None, 1)])
def test_gray_files_have_as_many_channels_as_the_model(tmp_path, channels, expected):
    write(tmp_path, {"0/0.png": GRAY[0], "0/1.png": GRAY[1]})
    images = data.load(tmp_path, "test", channels=channels).images
    assert images.shape == (2, 7, 5, expected)
    np.testing.assert_array_equal(images[..., 0], GRAY[:2])


def test_files_are_gray_only_if_all_of_them_are(tmp_path):
    write(tmp_path, {"0/0.png": GRAY[0], "0/1.png": COLOR[1], "1/2.jpg": GRAY[2]})
    images = data.load(tmp_path, "test").images
    np.testing.assert_array_equal(images[0], np.repeat(GRAY[0, ..., np.newaxis], 3, axis=-1))
    np.testing.assert_array_equal(images[1], COLOR[1])


def test_images_of_another_size_are_cropped_in_the_middle_and_resized(tmp_path):
    wide, tall = np.zeros((10, 30, 3), "uint8"), np.zeros((40, 20, 3), "uint8")
    wide[:, 10:20], tall[10:30] = 100, 200
    write(tmp_path, {"0/0.png": wide, "0/1.png": tall, "0/2.png": COLOR[0, :5, :5]})
    images = data.load(tmp_path, "test", size=(5, 5)).images
    assert images.dtype == np.uint8 and (images[0] == 100).all() and (images[1] == 200).all()
    np.testing.assert_array_equal(images[2], COLOR[0, :5, :5])


REFUSED = {
    "sizes": ({"0/0.png": GRAY[0], "1/1.png": GRAY[1, :4]}, r"1/1\.png is 4x5, .*0/0\.png is 7x5.*--image_size"),
    "a damaged file": (
        {"0/0.png": GRAY[0], "1/1.png": b"\x89PNG\r\n\x1a\n" + bytes(20)},
        r"1/1\.png is not a readable",
    ),
    "no image": ({"0/0.png": b"text"}, r"0/0\.png is not a readable PNG or JPEG"),
    "another format": ({"0/0.png": GRAY[0], "0/1.webp": b"RIFF"}, r"1\.webp is not read.*PNG or JPEG"),
    "no class folders": ({"0.png": GRAY[0]}, "without labels.*CLASS/NAME"),
    "nothing": ({"a/notes.txt": b""}, "no PNG or JPEG files"),
    "several attacks": (names("01_pgd/0/0.png", "02_fgsm/0/0.png"), "folders of class folders, such as 01_pgd"),
    "one number twice": (names("1/0.png", "01/0.png"), "two class folders of one number"),
    "no such split": (names("train/a/0.png", "train/b/0.png"), "no folder for the split 'test', only train"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_named(tmp_path, case):
    files, said = REFUSED[case]
    with pytest.raises(InputError, match=said) as refusal:
        data.load(write(tmp_path, files), "test")
    assert "\n" not in str(refusal.value)


def test_saved_adversarial_images_read_back_to_the_same_arrays(tmp_path):
    """Whatever labels occur."""
    network = classifiers.smooth_network((7, 5, 3), classes=12)
    labels = network(COLOR.astype("float32") / 255).numpy().argmax(axis=1)
    found = evaluate(network, COLOR, labels, "fgsm(linf(0.1))", progress=False)
    folder = found.save_adversarial(tmp_path / "adversarial")
    again = data.load(folder, "test", channels=3)
    np.testing.assert_array_equal(again.labels, labels)
    np.testing.assert_array_equal(again.images, np.round(found.outcomes[0].rounded * 255).astype("uint8"))
    report = evaluate(network, folder, None, [], progress=False).report
    assert report["clean_accuracy"] == found.report["attacks"][0]["robust_accuracy_uint8"]
