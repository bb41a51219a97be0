"""What a device needs to find out how robust a file is there: the file, images, what is expected, and a script."""

import hashlib
import io
import json
import pathlib
import zipfile
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

import tfrobust as tfr
from tfrobust import files
from tfrobust.errors import InputError
from tfrobust.evaluation import Evaluation, pixels
from tfrobust.evaluation.predictor import Predictor
from tfrobust.targets import identity

_SCRIPT = pathlib.Path(__file__).with_name("run.py")
_LEVELS = np.float32(255)


class ImageSet(NamedTuple):
    """Images that are shown to the file on the device.

    Attributes:
      name: "clean", or the attack that made them.
      images: float32 [examples, height, width, channels] in [0, 1].
      logits: the file's answers on this machine, float32 [examples, classes].
      valid: bool [examples], whether they lie in the attack's ball and in [0, 1].
    """

    name: str
    images: np.ndarray
    logits: np.ndarray
    valid: np.ndarray


class Pack(NamedTuple):
    """What goes to the device.

    Attributes:
      target: the file.
      shown: its evaluation: what was shown to it.
      sets: the clean images first, then those of each attack.
    """

    target: "tfr.targets.TFLiteTarget"
    shown: Evaluation
    sets: list[ImageSet]

    @classmethod
    def of(cls, target: "tfr.targets.TFLiteTarget", shown: Evaluation) -> "Pack":
        """From a file and its evaluation, whose images it is asked about one at a time, as the device will be."""
        ask = Predictor(target, 1).answers
        images = shown.images
        sets = [ImageSet("clean", images, ask(images), np.ones(len(images), bool))]
        for outcome in shown.outcomes:
            made = np.asarray(outcome.adversarial)
            sets.append(ImageSet(outcome.name, made, ask(made), pixels.is_valid(made, images, outcome.ball)))
        return cls(target, shown, sets)

    def description(self) -> dict:
        """The contents of pack.json, but for where the images are."""
        report = self.shown.report
        return {
            "model": pathlib.Path(self.target.name).name,
            "model_sha256": sha256(pathlib.Path(self.target.name).read_bytes()),
            "examples_sha256": examples_sha256(self.shown),
            "attacks_sha256": attacks_sha256(self.shown),
            "seed": report["seed"],
            "dataset": report["dataset"] and pathlib.Path(report["dataset"]).name,
            "labels": self.shown.labels.tolist(),
            "classes": int(self.sets[0].logits.shape[1]),
            "bounds": list(self.target.scale),
            "output": int(self.target.file.scores(None)),
            "expected": {
                "clean_accuracy": report["clean_accuracy"],
                "robust_accuracy": [float((~outcome.broken).mean()) for outcome in self.shown.outcomes],
            },
        }


def sha256(contents: bytes) -> str:
    """Of bytes, in hexadecimal digits."""
    return hashlib.sha256(contents).hexdigest()


def examples_sha256(shown: Evaluation) -> str:
    """Of the clean images and their labels, whatever type they are in memory."""
    return sha256(np.ascontiguousarray(shown.images, "float32").tobytes() + np.asarray(shown.labels, "int64").tobytes())


def attacks_sha256(shown: Evaluation) -> str:
    """Of what decides the attacks' images beside their own settings: the model they were made on, and its pixels."""
    sources = {outcome.source or shown.report["model"] for outcome in shown.outcomes}
    return sha256(" ".join([*(identity.of_files(path) for path in sorted(sources)), shown.report["pixels"]]).encode())


def in_8_bits(images: np.ndarray) -> np.ndarray | None:
    """uint8 images of which float32 ones are exactly the 255ths; None where some are in between."""
    levels = np.round(images * _LEVELS).astype("uint8")
    return levels if np.array_equal(levels.astype("float32") / _LEVELS, images) else None


def write(pack: Pack, output: pathlib.Path) -> None:
    """Writes the zip file: all or nothing."""
    hashes = {}
    with files.written(output) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, contents in _contents(pack):
            hashes[name] = sha256(contents)
            archive.writestr(zipfile.ZipInfo(name), contents, zipfile.ZIP_DEFLATED)
        archive.writestr(zipfile.ZipInfo("manifest.json"), json.dumps({"files": hashes}, indent=2) + "\n")


def _contents(pack) -> Iterator[tuple[str, bytes]]:
    """The files of the pack by name."""
    yield "model.tflite", pathlib.Path(pack.target.name).read_bytes()
    yield "run.py", _SCRIPT.read_bytes()
    described = []
    for number, one in enumerate(pack.sets):
        levels = in_8_bits(one.images) if one.images.shape[-1] in (1, 3, 4) else None
        place = f"images/{number}" if levels is not None else f"images/{number}.npy"
        described.append(
            {"name": one.name, "images": place, "logits": f"logits/{number}.npy", "valid": one.valid.tolist()}
        )
        yield f"logits/{number}.npy", _npy(one.logits)
        if levels is None:
            yield place, _npy(one.images)
            continue
        for row, image in enumerate(levels):
            yield f"{place}/{row:05d}.png", tf.io.encode_png(image).numpy()
    yield "pack.json", json.dumps({**pack.description(), "sets": described}).encode()


def _npy(array) -> bytes:
    contents = io.BytesIO()
    np.save(contents, np.ascontiguousarray(array))
    return contents.getvalue()


def refuse_what_is_no_file(target) -> None:
    """Raises `InputError` for what is no TFLite file."""
    if not isinstance(target, tfr.targets.TFLiteTarget):
        raise InputError(f"a device runs a .tflite file, got {target.name}")
