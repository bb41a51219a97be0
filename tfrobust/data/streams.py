"""Images and labels from pipelines: `tf.data`, Keras' data sets and iterables of pairs, each read once."""

from collections.abc import Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf
import tqdm

from tfrobust.data import checks
from tfrobust.errors import InputError

_KEYS = (("image", "label"), ("images", "labels"), ("x", "y"))
_BATCH = 256


def is_pipeline(given) -> bool:
    """Whether this is a data set of a kind that holds its labels."""
    return isinstance(given, (tf.data.Dataset, keras.utils.PyDataset, Iterator))


def read(
    stream: Iterable | keras.utils.PyDataset, total: int | None = None, name: str = "the data set"
) -> tuple[np.ndarray, np.ndarray]:
    """All images and labels of a pipeline, as they come, with a progress bar where that takes long.

    Args:
      stream: gives (image, label), more after these being ignored, or a dict of them; in batches or one at a time.
      total: the number of examples, if it is known: the images then need no second copy in memory.
      name: for the bar and errors.

    Raises:
      InputError: for a pipeline without labels, without an end, or that fails.
    """
    parts, images, labels = _batches(stream, name), None, []
    chunks, count = [], 0
    with tqdm.tqdm(total=total, desc=f"reading {name}", unit="image", delay=2, leave=False, disable=None) as bar:
        for part, part_labels in parts:
            if total and images is None:
                images = np.empty((total, *part.shape[1:]), part.dtype)
            if images is None:
                chunks.append(part)
            else:
                images[count : count + len(part)] = part
            labels.append(part_labels)
            count += len(part)
            bar.update(len(part))
    if not labels:
        raise InputError(f"{name} is empty: there are no images")
    return _joined(chunks, "images") if images is None else images[:count], _joined(labels, "labels")


def _batches(stream, name):
    """Batches of (images, labels), NumPy, of a stream of any form."""
    waiting, batched = [], None
    for place, element in enumerate(_elements(stream, name)):
        image, label = _pair(element, name)
        try:
            image, label = np.asarray(image), np.asarray(label)
        except ValueError as error:
            raise InputError(f"{name}: element {place} is no array, but of parts that differ in shape") from error
        batched = _in_batches(image, label) if batched is None else batched
        if batched:
            yield image, label
            continue
        waiting.append((image, label))
        if len(waiting) == _BATCH:
            yield _stacked(waiting)
            waiting = []
    if waiting:
        yield _stacked(waiting)


def _elements(stream, name):
    """What a stream gives, one after the other; what goes wrong in it is the user's to mend."""
    count = 0
    try:
        for element in _iterator(stream, name):
            count += 1
            yield element
    except (InputError, GeneratorExit):
        raise
    except Exception as error:  # of the user's own functions, or of TensorFlow for files and shapes
        raise InputError(f"{name} fails after {count} elements: {checks.reason(error)}") from error


def _iterator(stream, name):
    if isinstance(stream, tf.data.Dataset):
        if stream.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise InputError(f"{name} has no end: limit it, such as by .take(1000), or leave out .repeat()")
        return _rebatched(stream).as_numpy_iterator()
    if isinstance(stream, keras.utils.PyDataset):
        if stream.num_batches is None:
            raise InputError(f"{name} has no end: give it a __len__")
        return (stream[place] for place in range(stream.num_batches))
    return iter(stream)


def _rebatched(dataset):
    """In batches, where single images of one size come with single labels: one step of Python for many images."""
    spec = dataset.element_spec
    if isinstance(spec, tuple) and len(spec) >= 2 and all(isinstance(part, tf.TensorSpec) for part in spec[:2]):
        image, label = spec[:2]
        if image.shape.rank == 3 and image.shape.is_fully_defined() and label.shape.rank == 0:
            return dataset.map(lambda *parts: parts[:2]).batch(_BATCH).prefetch(2)
    return dataset


def _pair(element, name):
    if isinstance(element, dict):
        for keys in _KEYS:
            if set(keys) <= set(element):
                return tuple(element[key] for key in keys)
        raise InputError(f"{name} gives {sorted(element)}, expected image and label")
    if not isinstance(element, (tuple, list)) or len(element) < 2:
        raise InputError(f"{name} gives no labels: it must give pairs (image, label)")
    return element[0], element[1]


def _in_batches(image, label):
    """Whether a first element is a batch. Three axes are an image, or a batch without channels if the labels say so."""
    if image.ndim != 3:
        return image.ndim > 3
    return label.ndim > 0 and len(label) == len(image) and not (label.ndim == 1 and _is_one_hot(label))


def _is_one_hot(label):
    return len(label) > 1 and np.isin(label, (0, 1)).all() and label.sum() == 1


def _stacked(pairs):
    images, labels = zip(*pairs)
    return _joined([image[np.newaxis] for image in images], "images"), _joined(
        [label[np.newaxis] for label in labels], "labels"
    )


def _joined(parts, what):
    shapes = sorted({part.shape[1:] for part in parts})
    if len(shapes) > 1:
        raise InputError(f"{what} differ in size: {shapes[0]} and {shapes[1]}; bring them to one size")
    return np.concatenate(parts)
