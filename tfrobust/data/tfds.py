"""Any TFDS data set with an image and a label, streamed: what is not used is not read."""

import difflib
import pathlib
import threading
import urllib.error
import urllib.request

import numpy as np
import tensorflow as tf

from tfrobust.data import checks, image_files, streams
from tfrobust.data.split import Split, rows_of
from tfrobust.errors import InputError

_INSTEAD = {"test": ("validation",)}  # of a split that is not there or has no labels


def load(
    name: str,
    split: str,
    data_dir=None,
    download: bool = True,
    *,
    examples: int | None = None,
    size: tuple[int, int] | None = None,
    shard: tuple[int, int] = (0, 1),
    known: str = "",
) -> Split:
    """Reads a split as TFDS decodes it, in TFDS' own order.

    What else is a class or a truth value of each example, such as CIFAR-100's `coarse_label`, is a column of the split: a
    report has the accuracy for each of its values.

    Args:
      name: of the data set, with configuration and version if need be, as `tfds.builder` takes it.
      split: as TFDS takes it. For "test", the validation split where test images are not there or have no labels.
      data_dir: where TFDS keeps its data; None: `TFDS_DATA_DIR`, else TFDS' own default.
      download: whether missing data may be downloaded.
      examples: read only the first so many; None: all.
      size: (height, width) to which images of other sizes are brought: see `image_files.fit`.
      shard: see `sources.load`.
      known: what else there is, for the error of an unknown name.

    Raises:
      InputError: for an unknown name, one without image and label, or data that is neither there nor downloadable.
    """
    builder = prepared(name, data_dir, download, known=known)
    keys = _keys(name, builder.info)
    chosen = _labeled_split(name, builder, split, keys)
    images, labels = _read(name, builder, chosen, keys, examples, size, shard)
    label = builder.info.features[keys[1]]
    columns = _columns(builder, chosen, keys, examples, shard)
    return Split(images, labels.astype("int64"), _classes(label, labels), columns)


def prepared(name: str, data_dir=None, download: bool = True, *, known: str = ""):
    """The TFDS builder of a data set whose files are there, or were downloaded now; arguments and errors as of `load`."""
    builder = _builder(name, None if data_dir is None else str(pathlib.Path(data_dir).expanduser()), known)
    if not builder.data_path.exists():
        _download(name, builder, download)
    return builder


def _labeled_split(name, builder, split, keys) -> str:
    """The split, or what is taken instead. A part such as "train[80%:]" is left to TFDS."""
    known = builder.info.splits
    there = [other for other in (split, *_INSTEAD.get(split, ())) if other in known]
    if known and not there and split.isidentifier():
        raise InputError(f"{name} has no split {split!r}; name one of {', '.join(known)}, such as by --test_split")
    for other in there[:-1]:
        _, labels = _read(name, builder, other, keys, 1, None)
        if labels.min() >= 0:
            return other
    return there[-1] if there else split


def _classes(feature, labels) -> int:
    import tensorflow_datasets as tfds

    return feature.num_classes if isinstance(feature, tfds.features.ClassLabel) else int(labels.max()) + 1


def _builder(name, data_dir, known):
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, data_dir=data_dir)
    except Exception as error:  # an unknown name, configuration or version; or a package that the data set needs
        if isinstance(error, tfds.core.DatasetNotFoundError) or "Parsing builder name" in str(error):
            near = difflib.get_close_matches(str(name), tfds.list_builders(with_community_datasets=False), 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise InputError(f"unknown dataset {str(name)!r}; {hint}{known}") from error
        raise InputError(f"TFDS cannot make the dataset {name!r}: {checks.reason(error)}") from error


def _download(name, builder, allowed):
    where = f"{name} is not in the data dir {builder.data_path.parents[len(pathlib.Path(builder.info.full_name).parts) - 1]}"
    if not allowed:
        raise InputError(f"{where}; pass --data_dir, set TFDS_DATA_DIR, or allow the download")
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
        raise InputError(
            f"{where}, and it must be downloaded by hand: see tensorflow.org/datasets/catalog/{builder.name}"
        )
    if builder.url_infos and not reachable(builder):
        raise InputError(f"{where}, and its host does not answer; pass --data_dir or set TFDS_DATA_DIR")
    try:
        builder.download_and_prepare()
    except Exception as error:  # TFDS and what it downloads with each have their own
        raise InputError(f"{where}, and its download fails: {checks.reason(error)}") from error


def _keys(name, info) -> tuple[str, str]:
    """What the images and the labels are called."""
    import tensorflow_datasets as tfds

    features = info.features or {}
    pairs = [("image", "label"), *([info.supervised_keys] if info.supervised_keys else [])]
    for pair in pairs:
        if len(pair) == 2 and all(isinstance(key, str) and key in features for key in pair):
            image, label = (features[key] for key in pair)
            if isinstance(image, tfds.features.Image) and label.shape == () and tf.as_dtype(label.np_dtype).is_integer:
                return pair
    raise InputError(
        f"{name} has no image with one label, but {', '.join(features)}: it is no set of classified images"
    )


def _read(name, builder, split, keys, examples, size, shard=(0, 1)) -> tuple[np.ndarray, np.ndarray]:
    """The images and labels of a split. The images of other shards are not decoded."""
    image_feature = builder.info.features[keys[0]]
    dataset = _examples(builder, split, keys, examples, shard)
    total = int(dataset.cardinality())

    def pair(example):
        image, label = (example[key] for key in keys)
        image = image_feature.decode_example(image)
        return (image if size is None else image_files.fit(image, size)), label

    try:
        return streams.read(dataset.map(pair, tf.data.AUTOTUNE), total if total > 0 else None, name)
    except InputError as error:
        if "differ in size" in str(error):
            raise InputError(
                f"{name} has images of several sizes: say to which they are brought, by --image_size=HEIGHT,WIDTH or "
                "load(size=(height, width))"
            ) from error
        raise _damaged(builder, error) from error


def _examples(builder, split, keys, examples, shard):
    """The examples of a shard, their images not decoded."""
    import tensorflow_datasets as tfds

    try:
        reading = tfds.ReadConfig(try_autocache=False)  # everything is read once
        encoded = {keys[0]: tfds.decode.SkipDecoding()}
        dataset = builder.as_dataset(split=split, read_config=reading, decoders=encoded)
        dataset = dataset.take(-1 if examples is None else examples)
    except Exception as error:  # TFDS raises whatever a missing or damaged file leads it to
        raise _damaged(builder, error) from error
    if int(dataset.cardinality()) > 0:
        rows_of(shard, int(dataset.cardinality()))
    return dataset.shard(shard[1], shard[0])


def _columns(builder, split, keys, examples, shard) -> dict[str, np.ndarray]:
    """By name, the other classes and truth values of each example, classes by their names."""
    import tensorflow_datasets as tfds

    others = {name: feature for name, feature in builder.info.features.items() if name not in keys}
    told = {
        name: feature
        for name, feature in others.items()
        if isinstance(feature, tfds.features.ClassLabel) or (feature.shape == () and feature.np_dtype == np.bool_)
    }
    if not told:
        return {}
    dataset = _examples(builder, split, keys, examples, shard).map(
        lambda example: {name: example[name] for name in told}
    )
    rows = list(dataset.as_numpy_iterator())
    found = {name: np.array([row[name] for row in rows]) for name in told}
    for name, feature in told.items():
        if isinstance(feature, tfds.features.ClassLabel):
            found[name] = np.array([feature.int2str(value) if value >= 0 else "unlabeled" for value in found[name]])
    return found


def _damaged(builder, error):
    return InputError(
        f"{builder.data_path} is incomplete or damaged: remove it or copy it anew ({checks.reason(error)})"
    )


def reachable(builder, seconds=5.0) -> bool:
    """Whether the data set's host answers. TFDS would go on trying for minutes; this takes seconds at most."""
    answered = threading.Event()

    def ask():
        request = urllib.request.Request(next(iter(builder.url_infos)), method="HEAD")
        try:
            urllib.request.urlopen(request, timeout=seconds).close()
        except urllib.error.HTTPError:
            pass  # refusing a HEAD request is an answer
        except OSError:
            return
        answered.set()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return answered.is_set()
