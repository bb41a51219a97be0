"""Where a name or a folder leads: the streams of training, validation and test images.

A folder is one of

    train/CLASS/… and val/CLASS/…        or validation/ or test/ instead of val/
    Tiny-ImageNet's                      train/CLASS/images/*.JPEG, val/images/*.JPEG and val/val_annotations.txt
    CLASS/…                              every fifth file is a test image

and classes are counted in the order of their names.
"""

import pathlib

from tfrobust.cli.data import DataSource
from tfrobust.data import tfds
from tfrobust.errors import InputError
from trainers.image_streams import ArrayStream, FileStream, ImageStream, RecordStream

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
TEST_NAMES = ("val", "validation", "test")
ANNOTATIONS = "val_annotations.txt"


def load(name: str, source: DataSource) -> tuple[ImageStream, ImageStream]:
    """The training and the test images of a folder, a TFDS data set with image and label, digits or an .npz file.

    Raises:
      InputError: where there is no such data, or it holds no labeled images.
    """
    if pathlib.Path(name).is_dir():
        return _folder(pathlib.Path(name))
    if name == "digits" or name.endswith(".npz"):
        return tuple(ArrayStream(source.load(name, split)) for split in ("train", "test"))
    return _records(name, source)


def _folder(folder):
    test = next((folder / name for name in TEST_NAMES if (folder / name).is_dir()), None)
    if not (folder / "train").is_dir() or test is None:
        return _every_fifth(_class_folders(folder, _class_names(folder)))
    names = _class_names(folder / "train")
    train = _class_folders(folder / "train", names)
    annotations = test / ANNOTATIONS
    return train, _annotated(annotations, names) if annotations.is_file() else _class_folders(test, names)


def _class_names(folder):
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _class_folders(folder, names):
    """All images below the folder of each class."""
    known = {name: label for label, name in enumerate(names)}
    unknown = set(_class_names(folder)) - set(known)
    if unknown:
        raise InputError(f"{folder} has the class {min(unknown)}, which the training images do not have")
    files = [(str(path), known[name]) for name in _class_names(folder) for path in _images(folder / name)]
    if not files:
        raise InputError(f"{folder} holds no folders of images, one for each class; images are {', '.join(SUFFIXES)}")
    paths, labels = zip(*files, strict=True)
    return FileStream(paths, labels, len(names))


def _images(folder):
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def _annotated(annotations, names):
    """Tiny-ImageNet's validation images: a file name and its class in each line."""
    known = {name: label for label, name in enumerate(names)}
    paths, labels = [], []
    for number, line in enumerate(annotations.read_text().splitlines(), start=1):
        name, _, rest = line.partition("\t")
        label = rest.partition("\t")[0].strip()
        if label not in known:
            raise InputError(f"{annotations}, line {number}: the class {label!r} is not in train/")
        paths.append(str(annotations.parent / "images" / name))
        labels.append(known[label])
    if not paths:
        raise InputError(f"{annotations} names no images")
    return FileStream(tuple(paths), tuple(labels), len(names))


def _every_fifth(stream):
    parts = ([], [])
    for index, example in enumerate(zip(stream.paths, stream.labels, strict=True)):
        parts[index % 5 == 4].append(example)
    if not parts[1]:
        raise InputError(f"{len(stream.paths)} images are too few: every fifth is kept to test on")
    return tuple(FileStream(*zip(*part, strict=True), stream.classes) for part in parts)


def _records(name, source):
    known = f"{name} is neither a folder, an .npz file nor a data set of TFDS"
    builder = tfds.prepared(name, source.data_dir, source.download, known=known)
    if not {"image", "label"} <= set(builder.info.features):
        raise InputError(f"{name} has {', '.join(builder.info.features)}; expected image and label")
    splits = {split: info.num_examples for split, info in builder.info.splits.items()}
    test = next((split for split in ("validation", "test") if split in splits), None)
    if "train" not in splits or test is None:
        raise InputError(f"{name} has the splits {', '.join(splits)}; expected train, and validation or test")
    return tuple(RecordStream(builder, split, 0, splits[split]) for split in ("train", test))
