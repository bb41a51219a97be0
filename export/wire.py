"""Whether adversarial images still fool an artifact after the way on which they reach it.

An attack on floats in memory is no attack on a server that is sent files, or on a device that quantizes its camera's pixels.
"""

import functools
import json
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

import tfrobust as tfr
from export import conformance
from tfrobust.attacks.surviving import as_jpeg

QUALITIES = (95, 75)  # of JPEG files
DECIMALS = (6, 3, 2)  # of numbers in JSON
_LEVELS = np.float32(255)
_MOST = 100  # images of an attack


def survival(outcome: "tfr.evaluation.Outcome", target: "tfr.targets.Target") -> dict[str, dict]:
    """For each way, how many of the images that fool the artifact still do behind it.

    Args:
      outcome: of an attack, of which the first hundred images are taken that have broken the artifact.
      target: the artifact.

    Returns:
      By way: {"fooling": images before, "still_fooling": of them behind it}.
    """
    labels, clean = outcome.examples.labels, outcome.examples.attacked
    rows = np.flatnonzero(outcome.broken & clean)[:_MOST]
    images = outcome.images[rows]
    found = {}
    for name, way in ways(target, images.shape[-1]).items():
        said = conformance.predictions_of(target, way(images)) if len(rows) else rows
        found[name] = {"fooling": len(rows), "still_fooling": int((said != labels[rows]).sum())}
    return found


def ways(target: "tfr.targets.Target", channels: int) -> Mapping[str, Callable[[np.ndarray], np.ndarray]]:
    """Functions from float32 images [batch, height, width, channels] in [0, 1] to what arrives of them, by name.

    "uint8" are pixels; "input" are the integers of the artifact's own input, of a quantized TFLite file; "png", "jpeg 95" and
    "jpeg 75" are files, where there are such of so many channels; "json 3" are numbers with so many decimals.
    """
    found = {"uint8": lambda images: _bytes(images) / _LEVELS, **_own_input(target)}
    if channels in (1, 3):
        found["png"] = lambda images: _png(images, channels)
        found |= {f"jpeg {quality}": functools.partial(_jpeg, quality) for quality in QUALITIES}
    return found | {f"json {decimals}": _json(decimals) for decimals in DECIMALS}


def _bytes(images):
    return np.round(images * _LEVELS).astype("uint8")


def _own_input(target):
    """To the integers that a TFLite file makes of its input, and back."""
    given = target.file.quantized_input() if isinstance(target, tfr.targets.TFLiteTarget) else None
    if given is None or given.quantization is None:
        return {}

    def arrived(images):
        real = given.real(given.stored(target.scale.scale(images)))
        return np.clip(target.scale.to_unit(real), 0, 1)

    return {"input": arrived}


def _png(images, channels):
    return np.stack([tfr.data.decode(tf.io.encode_png(one), channels).numpy() for one in _bytes(images)]) / _LEVELS


def _jpeg(quality, images):
    return as_jpeg(tf.constant(images), quality).numpy()


def _json(decimals):
    """Written as numbers and read again."""

    def arrived(images):
        text = json.dumps([round(value, decimals) for value in images.ravel().tolist()])
        return np.clip(np.array(json.loads(text), "float32").reshape(images.shape), 0, 1)

    return arrived
