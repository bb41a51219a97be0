"""Data sets by name: what a flag or a caller names becomes images and labels in memory."""

import os
import pathlib

import numpy as np

from tfrobust.data import archive, digits, image_files, tfds
from tfrobust.data.split import Split
from tfrobust.errors import InputError

DATASETS = ("digits", "mnist", "cifar10")  # a folder of such a name needs ./ before it
_KNOWN = (
    f"there are: {', '.join(DATASETS)}, any TFDS data set with image and label, .npz files, and folders of class folders "
    "of PNG or JPEG files"
)


def load(
    name: str | pathlib.PurePath,
    split: str,
    data_dir: str | os.PathLike | None = None,
    download: bool = True,
    *,
    examples: int | None = None,
    channels: int | None = None,
    size: tuple[int, int] | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
    shard: tuple[int, int] = (0, 1),
) -> Split:
    """Loads a split into memory; with `examples`, no more of it than that.

    Args:
      name: "digits" (scikit-learn's); any TFDS name with image and label, such as "mnist", "cifar10" or
        "imagenet_v2"; the path of an .npz file (see `archive.load`); or a folder of class folders of PNG or JPEG files
        (see `class_folders.list_images`).
      split: "train" or "test", or what TFDS takes. It does not matter for a file or a folder that is not split,
        but for "held_out": what `trainers.imagenet` tests on (see `image_files.load`).
      data_dir: where TFDS keeps its data; None: `TFDS_DATA_DIR`, else TFDS' own default.
      download: whether missing data may be downloaded.
      examples: the first so many; None: all.
      channels: of a model's images, into which image files are turned; None: as the files are.
      size: (height, width): image files and TFDS images of other sizes are cropped and resized (see
        `image_files.fit`); None: all must have one size.
      bounds: the floats of an .npz file may be on this scale.
      shard: (index, count): of these examples every count-th, from one on. Of folders and TFDS nothing else is decoded.

    Returns:
      A `Split`.

    Raises:
      InputError: for an unknown name, a file that cannot be used, or data that is neither there nor downloadable; an
        `EmptyShardError` for a shard of fewer examples than there are shards, that has none.

    Example:
      >>> load("digits", "test").images.shape
      (359, 28, 28, 1)
    """
    if not isinstance(name, (str, os.PathLike)) or not isinstance(split, str):
        raise InputError(f"a data set and its split are named by texts, got {name!r}, {split!r}")
    if examples is not None and examples < 1:
        raise InputError(f"examples must be at least 1, got {examples}")
    if size is not None and not (np.shape(size) == (2,) and min(size) >= 1):
        raise InputError(f"size must be (height, width) in pixels, got {size}")
    text = os.fspath(name)
    if text.endswith(".npz"):
        return archive.load(pathlib.Path(text).expanduser(), split, examples, bounds, shard)
    if text == "digits":
        return digits.load(split).take(examples).shard(*shard)
    if text not in DATASETS and pathlib.Path(text).expanduser().is_dir():
        return image_files.load(text, split, examples, channels, size, shard)
    if pathlib.Path(text).expanduser().is_file():
        raise InputError(f"{text} is no data set; {_KNOWN}")
    return tfds.load(text, split, data_dir, download, examples=examples, size=size, shard=shard, known=_KNOWN)
