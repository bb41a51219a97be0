"""The files of a shared evaluation: what was found of each shard, under a name that says what decides it."""

import hashlib
import json
import pathlib
import re
import zipfile
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tfrobust.errors import InputError
from tfrobust.evaluation.craft import Crafted
from tfrobust.evaluation.prepare import Examples, Subject
from tfrobust.evaluation.shard import Shard
from tfrobust.evaluation.storage import CleanImages

_NAME = re.compile(r"shard-(\d+)-of-(\d+)-(\w+)\.npz")
_FEW = 5  # problems that a message names


class Part(NamedTuple):
    """A shard's file, and what of it is small.

    Attributes:
      path: of the file.
      shard: which one it is.
      answers, drawn: of the clean images: logits or labels [examples, ...], and predictions [draws, examples].
      draws: how often the model is asked about an image at most.
    """

    path: pathlib.Path
    shard: Shard
    answers: np.ndarray
    drawn: np.ndarray
    draws: int


def path_of(folder: pathlib.Path, shard: Shard, key: dict) -> pathlib.Path:
    """Where a shard's file is: its name says what decides its contents, the key."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    return folder / f"shard-{shard.index:05d}-of-{shard.count:05d}-{digest}.npz"


def failure_of(folder, shard: Shard) -> pathlib.Path:
    """Where a note is of why a shard could not be made."""
    return pathlib.Path(folder, f"shard-{shard.index:05d}-of-{shard.count:05d}.failed")


def arrays_of(subject: Subject, examples: Examples, made: Sequence[Crafted], key: dict) -> dict[str, np.ndarray]:
    """What the file of a shard holds."""
    found = {
        "identity": np.array(json.dumps(key, sort_keys=True)),
        "examples": np.array(_digest(examples.images, examples.labels)),
        "answers": subject.answers,
        "drawn": subject.votes.drawn,
        "draws": np.array(subject.predictor.draws),
    }
    for number, crafted in enumerate(made):
        found |= {
            f"{number}/source": np.array(crafted.source or ""),
            f"{number}/adversarial": crafted.adversarial.array(),
            f"{number}/drawn": crafted.votes.drawn,
            f"{number}/totals": crafted.totals,
            f"{number}/parts": np.array(len(crafted.parts)),
        }
        if crafted.goals is not None:
            found[f"{number}/goals"] = crafted.goals
        for place, part in enumerate(crafted.parts):
            found |= {f"{number}/{place}/{name}": array for name, array in part.items()}
    return found


def read_all(folder, count, key, images, labels) -> list[Part]:
    """The files of all shards, in their order; or all that is wrong with them."""
    parts: list[Part] = []
    problems = list(_foreign(folder, count, key))
    for index in range(min(count, len(labels))):  # further ones have no examples
        shard = Shard(index, count)
        part = _read_one(path_of(folder, shard, key), shard, key, images, labels)
        if isinstance(part, str):
            problems.append(part)
        else:
            parts.append(part)
    if problems:
        rest = f"; and {len(problems) - _FEW} more" if len(problems) > _FEW else ""
        raise InputError(f"{folder} cannot be merged: {'; '.join(problems[:_FEW])}{rest}")
    return parts


def _read_one(path, shard, key, images, labels) -> "Part | str":
    """The contents of a shard's file, or what is wrong with it."""
    name = f"shard {shard.index} of {shard.count}"
    if not path.exists():
        failed = failure_of(path.parent, shard)
        return f"{name} failed: {failed.read_text(encoding='utf-8')}" if failed.exists() else f"{name} is missing"
    arrays, rows = read(path) if _is_whole(path) else None, shard.rows(len(labels))
    if arrays is None or not {"identity", "examples", "answers", "drawn", "draws"} <= arrays.keys():
        return f"{path.name} is damaged"
    if json.loads(str(arrays["identity"])) != key:
        return f"{path.name} is not what its name says"
    if str(arrays["examples"]) != _digest(CleanImages(images.pixels[rows]), labels[rows]):
        return f"{name} is of other examples"
    return Part(path, shard, arrays["answers"], arrays["drawn"], int(arrays["draws"]))


def _foreign(folder, count, key):
    """Files of shards that are of another evaluation."""
    digest = path_of(folder, Shard(0, count), key).stem.rpartition("-")[2]
    for path in sorted(folder.glob("shard-*.npz")):
        named = _NAME.fullmatch(path.name)
        if named and (int(named[2]), named[3]) != (count, digest):
            arrays = read(path)
            other = json.loads(str(arrays["identity"])) if arrays and "identity" in arrays else {}
            differs = ", ".join(name for name in key if other.get(name) != key[name]) or f"of {int(named[2])} shards"
            yield f"{path.name} is of another evaluation ({differs})"


def read(path, prefix: str | None = None) -> dict[str, np.ndarray] | None:
    """The arrays of a file that are not of one attack, or those whose names begin so; None if it cannot be read."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            wanted = (name for name in arrays.files if ("/" not in name if prefix is None else name.startswith(prefix)))
            return {name: arrays[name] for name in wanted}
    except Exception:  # NumPy and zipfile raise half a dozen kinds for a damaged archive
        return None


def _is_whole(path) -> bool:
    """Whether the checksums of all arrays are right, a part of one at a time."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError):
        return False


def is_of(path, examples: Examples) -> bool:
    """Whether a file is whole and of these examples."""
    arrays = read(path) if _is_whole(path) else None
    return arrays is not None and str(arrays.get("examples")) == _digest(examples.images, examples.labels)


def _digest(images: CleanImages, labels) -> str:
    pixels = np.ascontiguousarray(images.pixels)
    form = f"{pixels.dtype}{pixels.shape}".encode()
    return hashlib.sha256(form + pixels.tobytes() + np.asarray(labels, "int64").tobytes()).hexdigest()
