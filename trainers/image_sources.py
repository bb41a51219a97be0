"""Where a name or a folder leads: the streams of training and test images.

A folder is read as `tfrobust.data.training_and_test_images` says: its own splits, or every fifth file to test on.
"""

import pathlib

import tfrobust as tfr
from tfrobust.cli.data import DataSource
from tfrobust.data import tfds
from tfrobust.errors import InputError
from trainers.image_streams import ArrayStream, FileStream, ImageStream, RecordStream


def load(name: str, source: DataSource) -> tuple[ImageStream, ImageStream]:
    """The training and the test images of a folder, a TFDS data set with image and label, digits or an .npz file.

    Raises:
      InputError: where there is no such data, or it holds no labeled images.
    """
    if pathlib.Path(name).is_dir():
        both = tfr.data.training_and_test_images(name)
        train, test = (
            FileStream(tuple(files.paths.tolist()), tuple(files.labels.tolist()), files.classes) for files in both
        )
        return train, test
    if name == "digits" or name.endswith(".npz"):
        return ArrayStream(source.load(name, "train")), ArrayStream(source.load(name, "test"))
    return _records(name, source)


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
