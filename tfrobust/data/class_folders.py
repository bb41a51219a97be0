"""Which files and classes a folder of class folders holds."""

import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

from tfrobust.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg")
_OTHER_IMAGES = (".bmp", ".gif", ".tif", ".tiff", ".webp")
# The folders that hold a split, the first that has labels; a folder with other folders than these is not split.
_SPLITS = {
    "train": ("train", "training"),
    "test": ("test", "testing", "val", "validation", "valid"),
    "validation": ("validation", "val", "valid"),
}
HELD_OUT = "held_out"  # what a folder's networks were not trained on, also where the folder is not split
_SPLIT_NAMES = frozenset(name for names in _SPLITS.values() for name in names)
_INSIDE = "images"  # Tiny-ImageNet has its files in such a folder inside each class folder
_ANNOTATIONS = "val_annotations.txt"  # and its validation files beside this list of their classes
_TESTED = 5  # one file in so many is tested on, where a folder is not split


class ImageFiles(NamedTuple):
    """Image files with labels.

    Attributes:
      paths: str [files], in the order of their numbers where the files are named 0 to files - 1, as those of
        `Evaluation.save_adversarial` are; otherwise the first of each class, the second of each, and so on, so that the
        first files are of all classes.
      labels: int64 [files].
      names: of the classes; the label is the place, or the number that a name is.
      classes: the number of classes.
    """

    paths: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    classes: int

    def take(self, examples: int | None) -> Self:
        """The first `examples` files; all of them if `examples` is None."""
        return self.at(slice(examples))

    def at(self, rows: slice | np.ndarray) -> Self:
        """Some of the files, in the order of these rows."""
        return self._replace(paths=self.paths[rows], labels=self.labels[rows])


def list_images(folder: str | pathlib.Path, split: str = "test") -> ImageFiles:
    """The PNG and JPEG files in a folder's class folders.

    Classes are numbered in the order of their sorted names. Names that are all whole numbers are the labels themselves,
    whatever zeros they begin with. Where the folder holds folders called train, test, val or validation and no others, the
    split's is taken (for "test" a validation folder, if no test images have labels), and the classes are those of all
    of them. Tiny-ImageNet's layout is one of these.

    Args:
      folder: the folder.
      split: which of its folders is taken, if it is split.

    Raises:
      InputError: where there are no such files, or it is unclear what the classes are.

    Example:
      >>> list_images("photographs").names[:2]
      ('n01440764', 'n01443537')
    """
    folder = pathlib.Path(folder).expanduser()
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    inside = _folders(folder)
    is_split = _is_split(inside)
    chosen = _split_folder(folder, inside, split) if is_split else folder
    shared = [name for path in inside for name in _class_names(path)] if is_split else []
    files = _annotated(chosen) if (chosen / _ANNOTATIONS).is_file() else _in_class_folders(chosen)
    names = tuple(sorted({*files, *shared}))
    numbers = _numbers(chosen, names)
    ordered = _ordered([(files[name], numbers[name]) for name in names if name in files])
    if not ordered:
        raise InputError(f"{chosen} holds no PNG or JPEG files in class folders")
    paths, labels = zip(*ordered)
    return ImageFiles(np.array(paths), np.array(labels, "int64"), names, max(numbers.values()) + 1)


def training_and_test_images(folder: str | pathlib.Path) -> tuple[ImageFiles, ImageFiles]:
    """What a folder holds to train and to test on, each in the order of class names and then of file names.

    A split folder has its own: train, and validation or else test. Of another, every fifth file in that order is a test
    image, the 5th, the 10th and so on: where each class has one file, that is every fifth class.

    Args:
      folder: as `list_images` takes it.

    Raises:
      InputError: for what `list_images` refuses, too few files, and a class that is only tested on.

    Example:
      >>> train, test = training_and_test_images("photographs")
      >>> len(train.paths), len(test.paths)
      (800, 200)
    """
    folder = pathlib.Path(folder).expanduser()
    if not (folder.is_dir() and _is_split(_folders(folder))):
        files = _by_names(list_images(folder))
        tested = np.arange(len(files.paths)) % _TESTED == _TESTED - 1
        if not tested.any():
            raise InputError(f"{len(files.paths)} images in {folder} are too few: every fifth is kept to test on")
        return files.at(~tested), files.at(tested)
    labeled = [path.name.lower() for path in _folders(folder) if _has_labels(path)]
    validation = not {*_SPLITS["validation"]}.isdisjoint(labeled)
    train, test = (_by_names(list_images(folder, split)) for split in ("train", "validation" if validation else "test"))
    unknown = np.setdiff1d(test.labels, train.labels)
    if len(unknown):
        path = test.paths[np.argmax(test.labels == unknown[0])]
        raise InputError(f"{folder} holds no training images of the class of {path}")
    return train, test


def _by_names(files):
    """Files in the order of the names of their folders and their own."""
    return files.at(np.array(sorted(range(len(files.paths)), key=lambda place: files.paths[place].split(os.sep))))


def _is_split(inside) -> bool:
    """Whether folders are splits, not classes."""
    return bool(inside) and {path.name.lower() for path in inside} <= _SPLIT_NAMES


def _has_labels(folder) -> bool:
    return bool(_class_names(folder)) or (folder / _ANNOTATIONS).is_file()


def _folders(folder) -> list[pathlib.Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))


def _class_names(folder) -> list[str]:
    """What class folders there are; none where a folder holds nothing but files, or one of unlabeled images."""
    return [path.name for path in _folders(folder) if path.name != _INSIDE]


def _split_folder(folder, inside, split):
    by_name = {path.name.lower(): path for path in inside}
    for name in _SPLITS.get(split, (split,)):
        if name in by_name and _has_labels(by_name[name]):
            return by_name[name]
    raise InputError(f"{folder} has no folder for the split {split!r}, only {', '.join(sorted(by_name))}")


def _in_class_folders(folder) -> dict[str, list[str]]:
    """Class name -> its files, sorted."""
    found = {}
    for path in _folders(folder):
        files = _image_files(path) or (_image_files(path / _INSIDE) if (path / _INSIDE).is_dir() else [])
        if not files and any(_image_files(inner) for inner in _folders(path)):
            raise InputError(
                f"{folder} holds folders of class folders, such as {path.name}: give the one that you mean, {path}"
            )
        found[path.name] = files
    if not found and _image_files(folder):
        raise InputError(f"{folder} holds images without labels: they must be in class folders, CLASS/NAME.png")
    return found


def _image_files(folder) -> list[str]:
    files = []
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        suffix = os.path.splitext(entry.name)[1].lower()
        if entry.name.startswith(".") or not entry.is_file():
            continue
        if suffix in _OTHER_IMAGES:
            raise InputError(f"{entry.path} is not read: give the images as PNG or JPEG")
        if suffix in SUFFIXES:
            files.append(entry.path)
    return files


def _annotated(folder) -> dict[str, list[str]]:
    """Class name -> its files, by Tiny-ImageNet's list: a file's name, a tab and its class in each line."""
    found: dict[str, list[str]] = {}
    for line in (folder / _ANNOTATIONS).read_text().splitlines():
        name, *rest = line.split("\t")
        if rest:
            found.setdefault(rest[0].strip(), []).append(str(folder / _INSIDE / name))
    return found


def _numbers(folder, names: Sequence[str]) -> dict[str, int]:
    """Class name -> label."""
    if not all(name.isascii() and name.isdecimal() for name in names):
        return {name: place for place, name in enumerate(names)}
    numbers = {name: int(name) for name in names}
    if len(set(numbers.values())) < len(names):
        raise InputError(f"{folder} has two class folders of one number, among {', '.join(names)}")
    return numbers


def _ordered(classes: Sequence[tuple[list[str], int]]) -> list[tuple[str, int]]:
    """(path, label) in the order that `ImageFiles` states."""
    files = [(place, path, label) for paths, label in classes for place, path in enumerate(paths)]
    stems = [pathlib.Path(path).stem for _, path, _ in files]
    if all(stem.isascii() and stem.isdecimal() for stem in stems):
        numbered = {int(stem): (path, label) for stem, (_, path, label) in zip(stems, files)}
        if sorted(numbered) == list(range(len(files))):
            return [numbered[number] for number in range(len(files))]
    return [(path, label) for _, path, label in sorted(files, key=lambda file: (file[0], file[2]))]
