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

import pathlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from tfrobust import files, targets
from tfrobust.attacks import Attack
from tfrobust.data import ImagesLike
from tfrobust.errors import InputError
from tfrobust.evaluation import craft, identity, prepare, scale, shard_files
from tfrobust.evaluation.config import EvaluationConfig
from tfrobust.evaluation.craft import AttackRunner, Crafted
from tfrobust.evaluation.evaluate import Posed, conclude, looked_at, pose
from tfrobust.evaluation.judge import judge
from tfrobust.evaluation.predictor import MISSING, Votes
from tfrobust.evaluation.report import Evaluation, versions
from tfrobust.evaluation.shard import Shard
from tfrobust.evaluation.storage import Images
from tfrobust.targets import ModelLike


class Attacker:
    """A model and the attacks on it, in one process, for shard after shard: loaded and compiled once.

    Args:
      model: as of `evaluate`. What is no file and no Keras model is told from others by its name alone.
      attacks: as of `evaluate`.
      folder: where the files go, the same for all shards; a batch that is finished is kept there until its shard is.
      config: as of `evaluate`.
    """

    def __init__(
        self,
        model: ModelLike,
        attacks: Attack | str | Iterable[Attack | str],
        folder: str | pathlib.Path,
        config: EvaluationConfig = EvaluationConfig(),  # noqa: B008, it is frozen
    ):
        self._target, self._attacks = targets.as_target(model), prepare.named_attacks(attacks)
        self._folder, self._config = pathlib.Path(folder), config
        self._made_once: tuple[list[AttackRunner], dict] | None = None  # what attacks, and what decides what it makes

    def run(self, shard: Shard, images: ImagesLike, labels: ArrayLike | None) -> pathlib.Path:
        """Attacks the images of a shard, given as of `evaluate`; returns the path of its file.

        Raises:
          InputError: as `evaluate` does.
        """
        attacks = [attack for _, attack in self._attacks]
        posed = pose(self._target, images, labels, attacks, self._config.changed(shard=shard))
        posed = posed._replace(named=self._attacks)
        if self._made_once is None:
            runners = craft.runners(posed.named, posed.subject.target, posed.config.pixels)
            self._made_once = runners, _decides(self._target, posed.subject.target, runners, posed.config)
        runners, key = self._made_once
        path = shard_files.path_of(self._folder, shard, key)
        if not (path.exists() and shard_files.is_of(path, posed.examples)):
            made = [craft.craft(runner, posed.subject.predictor, posed.examples, posed.config) for runner in runners]
            with files.written(path) as temporary, open(temporary, "wb") as file:
                arrays = shard_files.arrays_of(posed.subject, posed.examples, made, key)
                np.savez(file, **arrays)  # type: ignore[arg-type]  # none is called allow_pickle
        shard_files.failure_of(self._folder, shard).unlink(missing_ok=True)
        return path


def merge(
    model: ModelLike,
    images: ImagesLike,
    labels: ArrayLike | None,
    attacks: Attack | str | Iterable[Attack | str],
    *,
    count: int,
    folder: str | pathlib.Path,
    config: EvaluationConfig = EvaluationConfig(),  # noqa: B008
) -> Evaluation:
    """The evaluation of all examples from the files of all shards: judged, checked and reported as one process would.

    Args:
      model, attacks, config: what the shards were made with.
      images, labels: of all examples, as of `evaluate`.
      count: how many shards there are.
      folder: where their files are.

    Raises:
      InputError: naming the shards that are missing, failed, damaged, or of another model, other data, attacks, settings
        or versions.
    """
    target, named, images, labels, config = looked_at(model, images, labels, attacks, config)
    logits, predictor = prepare.at_logits(target, images, config)
    runners = craft.runners(named, logits, config.pixels)
    parts = shard_files.read_all(pathlib.Path(folder), count, _decides(target, logits, runners, config), images, labels)
    predictor.draws = max(part.draws for part in parts)
    if any(part.draws != predictor.draws for part in parts):
        fixed = [str(part.shard.index) for part in parts if part.draws == 1]
        raise InputError(
            f"the model answers differently each time, but not in the shards {', '.join(fixed)}: share the examples among "
            "fewer, in which it shows"
        )
    answers = _interleaved([part.answers for part in parts])
    first = slice(predictor.batch_size)
    scale.refuse_wrong(logits, predictor, images[first], labels[first], answers[first])
    subject = prepare.Subject(logits, predictor, answers, Votes(_votes([part.drawn for part in parts])))
    examples = prepare.all_of(subject, images, labels)
    outcomes = [
        judge(runner.name, runner.attack, _together(number, parts, images), examples, subject, config)
        for number, runner in enumerate(runners)
    ]
    return conclude(Posed(named, subject, examples, config), outcomes)


def mark_failed(folder: str | pathlib.Path, shard: Shard, reason: str) -> None:
    """Leaves a note of a shard that could not be made, for whoever merges."""
    with files.written(shard_files.failure_of(folder, shard)) as temporary:
        temporary.write_text(reason, encoding="utf-8")


def _decides(target, logits, runners: Sequence[AttackRunner], config: EvaluationConfig) -> dict:
    """All that decides what is in the file of a shard, beside its examples."""
    return {
        "model": " ".join(map(_model, _parts(target))),
        "answers": " ".join(one.kind for one in _parts(logits)),
        "attacks": [f"{runner.name} {identity.text(runner.attack)}" for runner in runners],
        "seed": config.seed,
        "pixels": config.pixels,
        "draws": config.draws,
        **{name: version for name, version in versions().items() if name != "python"},
    }


def _parts(target) -> list:
    """The models that a target consists of."""
    return [target.target, target.surrogate] if isinstance(target, targets.WithSurrogate) else [target]


def _model(target) -> str:
    """What a model is: its files, where it has some, since a graph that draws random numbers is another one each time."""
    if pathlib.Path(target.name).exists():
        return f"{targets.identity.of_files(target.name)} {target.scale} {target.kind}"
    return target.identity() or target.name


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
        arrays = {
            name.partition("/")[2]: array for name, array in (shard_files.read(part.path, f"{number}/") or {}).items()
        }
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
