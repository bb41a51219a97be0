"""Adversarial images as files: PNG in class folders, which fool the model as often when they are read back."""

import pathlib
import re
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfrobust import files
from tfrobust.errors import InputError
from tfrobust.evaluation import storage
from tfrobust.evaluation.outcome import Outcome


def save(folder, outcomes: Sequence[Outcome]) -> pathlib.Path:
    """Writes what each attack made of all examples, in 8 bits and inside its ball.

    An example that was not attacked, since it is misclassified, is there as it is. So the accuracy on a folder's images is
    the report's `robust_accuracy_uint8`, if the clean images are in 8 bits.

    Args:
      folder: gets `LABEL/NUMBER.png`, the number being the example's place; with several attacks, each has a folder of
        its own inside.
      outcomes: of the attacks.

    Returns:
      The folder.

    Raises:
      InputError: for images that PNG cannot hold, of 2 channels or more than 4.
    """
    folder = pathlib.Path(folder)
    for number, outcome in enumerate(outcomes, start=1):
        inside = folder / f"{number:02d}_{_file_name(outcome.name)}" if len(outcomes) > 1 else folder
        _save(inside, outcome)
    return folder


def _save(folder, outcome):
    images, labels, _ = outcome.examples
    if images.shape[-1] not in (1, 3, 4):
        raise InputError(f"PNG holds 1, 3 or 4 channels, the images have {images.shape[-1]}: keep them as arrays")
    label_digits, digits = (len(str(number)) for number in (labels.max(), len(images) - 1))
    for rows in storage.parts(images):
        levels = np.round(outcome.rounded_rows(rows) * 255.0).astype("uint8")
        for place, (image, label) in enumerate(zip(levels, labels[rows]), start=rows.start):
            with files.written(folder / f"{label:0{label_digits}d}" / f"{place:0{digits}d}.png") as path:
                path.write_bytes(tf.io.encode_png(image).numpy())


def _file_name(text):
    return re.sub(r"[^A-Za-z0-9.]+", "_", text).strip("_")[:80]
