"""An evaluation that several processes share: each attacks some of the examples, and one makes the report of what they found.

A shard is every n-th example. Its random draws are those of the examples' places among all, so that the number of shards changes
nothing but the rounding of kernels. What is found of a shard is one file, whose name says what decides its contents; where it
is there already, nothing is done.

Example:
  >>> for index in range(8):  # in as many processes, on as many machines with one folder
  ...     part = tfr.data.load("cifar10", "test", shard=(index, 8))
  ...     Attacker("model.keras", ["auto_attack(linf(8/255))"], "shards").run(Shard(index, 8), part, None)
  >>> found = merge("model.keras", tfr.data.load("cifar10", "test"), None, ["auto_attack(linf(8/255))"], count=8, folder="shards")
"""

import hashlib
import importlib.metadata
import json
import pathlib
import re
import zipfile
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust import files, targets
from tfrobust.errors import InputError
from tfrobust.evaluation import craft, identity, prepare
from tfrobust.evaluation.config import EvaluationConfig
from tfrobust.evaluation.craft import AttackRunner, Crafted
from tfrobust.evaluation.evaluate import Posed, conclude, looked_at, pose
from tfrobust.evaluation.judge import judge
from tfrobust.evaluation.predictor import MISSING, Votes
from tfrobust.evaluation.report import Evaluation
from tfrobust.evaluation.shard import Shard
from tfrobust.evaluation.storage import CleanImages, Images

_NAME = re.compile(r"shard-(\d+)-of-(\d+)-(\w+)\.npz")
_FEW = 5  # problems that a message names


class Attacker:
    """A model and the attacks on it, in one process, for shard after shard: loaded and compiled once.

    Args:
      model: as of `evaluate`.
      attacks: as of `evaluate`.
      folder: where the files go, the same for all shards; a batch that is finished is kept there until its shard is.
      config: as of `evaluate`.
    """

    def __init__(self, model, attacks, folder, config: EvaluationConfig = EvaluationConfig()):  # noqa: B008, it is frozen
        self._target, self._attacks = targets.as_target(model), prepare.named_attacks(attacks)
        self._folder, self._config = pathlib.Path(folder), config
        self._runners, self._key = None, None

    def run(self, shard: Shard, images, labels) -> pathlib.Path:
        """Attacks the images of a shard, given as of `evaluate`; returns the path of its file.

        Raises:
          InputError: as `evaluate` does.
        """
        attacks = [attack for _, attack in self._attacks]
        posed = pose(self._target, images, labels, attacks, self._config.changed(shard=shard))
        posed = posed._replace(named=self._attacks)
        if self._runners is None:
            self._runners = craft.runners(posed.named, posed.subject.target, posed.config.pixels)
            self._key = _decides(self._target, self._runners, posed.config)
        path = _path(self._folder, shard, self._key)
        if not (path.exists() and _is_of(path, posed.examples)):
            made = [
                craft.craft(runner, posed.subject.predictor, posed.examples, posed.config) for runner in self._runners
            ]
            with files.written(path) as temporary, open(temporary, "wb") as file:
                np.savez(file, **_arrays(posed, made, self._key))
        _failure(self._folder, shard).unlink(missing_ok=True)
        return path


def merge(
    model,
    images,
    labels,
    attacks,
    *,
    count: int,
    folder,
    config: EvaluationConfig = EvaluationConfig(),  # noqa: B008
) -> Evaluation:
    """The evaluation of all examples from the files of all shards: judged, checked and reported as one process would.

    Args:
      model, attacks, config: what the shards were made with.
      images, labels: of all examples, as of `evaluate`.
      count: how many shards there are.
      folder: where their files are.

    Raises:
      InputError: naming the shards that are missing, failed, damaged, or of another model, other data, attacks or settings.
    """
    target, named, images, labels, config = looked_at(model, images, labels, attacks, config)
    logits, predictor = prepare.at_logits(target, images, config)
    runners = craft.runners(named, logits, config.pixels)
    parts = _read_all(pathlib.Path(folder), count, _decides(target, runners, config), images, labels)
    predictor.draws = max(part.draws for part in parts)
    if any(part.draws != predictor.draws for part in parts):
        fixed = [str(part.shard.index) for part in parts if part.draws == 1]
        raise InputError(
            f"the model answers differently each time, but not in the shards {', '.join(fixed)}: make them again"
        )
    answers = _interleaved([part.answers for part in parts])
    subject = prepare.Subject(logits, predictor, answers, Votes(_votes([part.drawn for part in parts])))
    examples = prepare.all_of(subject, images, labels)
    outcomes = [
        judge(runner.name, runner.attack, _together(number, parts, images), examples, subject, config)
        for number, runner in enumerate(runners)
    ]
    return conclude(Posed(named, subject, examples, config), outcomes)


def mark_failed(folder, shard: Shard, reason: str) -> None:
    """Leaves a note of a shard that could not be made, for whoever merges."""
    with files.written(_failure(folder, shard)) as temporary:
        temporary.write_text(reason, encoding="utf-8")


class _Part(NamedTuple):
    """A shard's file, and what of it is small."""

    path: pathlib.Path
    shard: Shard
    answers: np.ndarray
    drawn: np.ndarray
    draws: int


def _decides(target, runners: Sequence[AttackRunner], config: EvaluationConfig) -> dict:
    """All that decides what is in the file of a shard, beside its examples."""
    return {
        "model": _model(target),
        "attacks": [f"{runner.name} {identity.text(runner.attack)}" for runner in runners],
        "seed": config.seed,
        "pixels": config.pixels,
        "draws": config.draws,
        "tfrobust": importlib.metadata.version("tfrobust"),
        "tensorflow": tf.__version__,
    }


def _model(target) -> str:
    """What a model is: its files, where it has some, since a graph that draws random numbers is another one each time."""
    if isinstance(target, targets.WithSurrogate):
        return f"{_model(target.target)} {_model(target.surrogate)}"
    if pathlib.Path(target.name).exists():
        return f"{targets.identity.of_files(target.name)} {target.scale} {target.kind}"
    return target.identity() or target.name


def _path(folder, shard, key) -> pathlib.Path:
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    return folder / f"shard-{shard.index:05d}-of-{shard.count:05d}-{digest}.npz"


def _failure(folder, shard) -> pathlib.Path:
    return pathlib.Path(folder, f"shard-{shard.index:05d}-of-{shard.count:05d}.failed")


def _digest(images: CleanImages, labels) -> str:
    pixels = np.ascontiguousarray(images.pixels)
    form = f"{pixels.dtype}{pixels.shape}".encode()
    return hashlib.sha256(form + pixels.tobytes() + np.asarray(labels, "int64").tobytes()).hexdigest()


def _arrays(posed: Posed, made: Sequence[Crafted], key: dict) -> dict[str, np.ndarray]:
    """What the file of a shard holds."""
    subject, examples = posed.subject, posed.examples
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


def _read(path, prefix: str | None = None) -> dict[str, np.ndarray] | None:
    """The arrays of a file that are not of one attack, or those whose names begin so; None if it cannot be read."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            wanted = (name for name in arrays.files if ("/" not in name if prefix is None else name.startswith(prefix)))
            return {name: arrays[name] for name in wanted}
    except Exception:  # NumPy and zipfile raise half a dozen kinds for a damaged archive
        return None


def _is_of(path, examples) -> bool:
    arrays = _read(path)
    return arrays is not None and str(arrays.get("examples")) == _digest(examples.images, examples.labels)


def _read_all(folder, count, key, images, labels) -> list[_Part]:
    """The files of all shards, in their order; or all that is wrong with them."""
    parts, problems = [], list(_foreign(folder, count, key))
    for index in range(count):
        shard = Shard(index, count)
        part = _read_one(_path(folder, shard, key), shard, key, images, labels)
        (problems if isinstance(part, str) else parts).append(part)
    if problems:
        rest = f"; and {len(problems) - _FEW} more" if len(problems) > _FEW else ""
        raise InputError(f"{folder} cannot be merged: {'; '.join(problems[:_FEW])}{rest}")
    return parts


def _read_one(path, shard, key, images, labels) -> "_Part | str":
    """The contents of a shard's file, or what is wrong with it."""
    name = f"shard {shard.index} of {shard.count}"
    if not path.exists():
        failed = _failure(path.parent, shard)
        return f"{name} failed: {failed.read_text(encoding='utf-8')}" if failed.exists() else f"{name} is missing"
    arrays, rows = _read(path) if _is_whole(path) else None, shard.rows(len(labels))
    if arrays is None or not {"identity", "examples", "answers", "drawn", "draws"} <= arrays.keys():
        return f"{path.name} is damaged"
    if json.loads(str(arrays["identity"])) != key:
        return f"{path.name} is not what its name says"
    if str(arrays["examples"]) != _digest(CleanImages(images.pixels[rows]), labels[rows]):
        return f"{name} is of other examples"
    return _Part(path, shard, arrays["answers"], arrays["drawn"], int(arrays["draws"]))


def _is_whole(path) -> bool:
    """Whether the checksums of all arrays are right, a part of one at a time."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError):
        return False


def _foreign(folder, count, key):
    """Files of shards that are of another evaluation."""
    digest = _path(folder, Shard(0, count), key).stem.rpartition("-")[2]
    for path in sorted(folder.glob("shard-*.npz")):
        named = _NAME.fullmatch(path.name)
        if named and (int(named[2]), named[3]) != (count, digest):
            arrays = _read(path)
            other = json.loads(str(arrays["identity"])) if arrays and "identity" in arrays else {}
            differs = ", ".join(name for name in key if other.get(name) != key[name]) or f"of {int(named[2])} shards"
            yield f"{path.name} is of another evaluation ({differs})"


def _interleaved(parts) -> np.ndarray:
    """Rows of all examples, from those of each shard."""
    found = np.empty([sum(map(len, parts)), *parts[0].shape[1:]], parts[0].dtype)
    for index, part in enumerate(parts):
        found[index :: len(parts)] = part
    return found


def _votes(parts) -> np.ndarray:
    """int [draws, examples], of parts that may have fewer draws."""
    most = max(len(part) for part in parts)
    filled = [np.pad(part, [(0, most - len(part)), (0, 0)], constant_values=MISSING) for part in parts]
    return _interleaved([part.T for part in filled]).T


def _together(number, parts, images) -> Crafted:
    """What one of the attacks made of all examples. One shard's images are in memory at a time."""
    adversarial, drawn, goals, batches, totals = Images(images), [], [], [], np.zeros(4)
    for part in parts:
        arrays = {name.partition("/")[2]: array for name, array in (_read(part.path, f"{number}/") or {}).items()}
        rows = part.shard.places(np.arange(len(arrays["adversarial"])))
        adversarial.write(rows, arrays["adversarial"])
        drawn.append(arrays["drawn"])
        goals.append(arrays.get("goals"))
        totals += arrays["totals"]
        batches += [
            {name.partition("/")[2]: array for name, array in arrays.items() if name.startswith(f"{place}/")}
            for place in range(int(arrays["parts"]))
        ]
    wanted = None
    if any(part is not None for part in goals):
        nothing = [np.full(len(part.answers), -1) for part in parts]
        wanted = _interleaved([none if part is None else part for part, none in zip(goals, nothing)])
    return Crafted(str(arrays["source"]) or None, adversarial, Votes(_votes(drawn)), wanted, batches, totals)
