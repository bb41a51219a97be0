"""From what users give to what is attacked: arrays, named attacks and predictions, or a refusal that says why."""

import pathlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from tfrobust import attacks as attacks_lib
from tfrobust import data, targets
from tfrobust.attacks import Attack
from tfrobust.errors import InputError
from tfrobust.evaluation import batches, devices, scale
from tfrobust.evaluation import pixels as pixels_lib
from tfrobust.evaluation.config import EvaluationConfig
from tfrobust.evaluation.predictor import Predictor, Votes, changes, predicted
from tfrobust.evaluation.storage import CleanImages

_ENOUGH = 20  # images, of which none looks by chance as if the model's answers were of another kind
_SAME = 1e-4  # of the spread of an image's logits: two passes that differ by less are rounding


class Examples(NamedTuple):
    """What is attacked.

    Attributes:
      images: of [examples, height, width, channels], read as float32 in [0, 1].
      labels: int [examples].
      attacked: bool [examples], those that are attacked: the clean image is classified correctly, and is wanted.
    """

    images: CleanImages
    labels: np.ndarray
    attacked: np.ndarray


class Subject(NamedTuple):
    """A model with its answers at the clean images.

    Attributes:
      target: what attacks run on, at logits.
      predictor: of the target.
      answers: float32 [examples, classes] logits, or int [examples] labels of a target that gives no more.
      votes: its predictions.
    """

    target: targets.Target
    predictor: Predictor
    answers: np.ndarray
    votes: Votes

    @property
    def predictions(self) -> np.ndarray:
        """int [examples], of most draws."""
        return self.votes.predictions()


def named_attacks(attacks: Attack | str | Iterable[Attack | str]) -> list[tuple[str, Attack]]:
    """Attacks with the texts that they were asked for by; equal ones once, different ones of equal text numbered.

    A single attack needs no list around it.

    Raises:
      InputError: for a text that cannot be parsed, and for what is no attack.
    """
    by_text: dict[str, list[Attack]] = {}
    if isinstance(attacks, (Attack, str)) or not isinstance(attacks, Iterable):
        attacks = [attacks]
    for given in attacks:
        attack = attacks_lib.parse(given) if isinstance(given, str) else given
        if not isinstance(attack, Attack):
            raise InputError(f"expected an attack or its text, such as 'pgd(linf(8/255))', got {given!r}")
        same = by_text.setdefault(str(given), [])
        if attack not in same:
            same.append(attack)
    return [
        (f"{text} [{number}]" if number > 1 else text, attack)
        for text, same in by_text.items()
        for number, attack in enumerate(same, start=1)
    ]


def images_and_labels(
    images, labels, models: Iterable[targets.Target], pixels: str = "float"
) -> tuple[CleanImages, np.ndarray]:
    """Images and int labels that all the models take; with pixels "uint8", the images' nearest 8-bit values.

    Images that come in 8 bits stay so in memory, and become float32 batch by batch.

    Args:
      images, labels: in any form of `tfrobust.data.arrays`, on the scale that all the models are given with, such as
        (0, 255), too; or a name that `tfrobust.data.load` takes, and None.
      models: what is shown the images.
      pixels: see `EvaluationConfig`.

    Raises:
      InputError: for images outside [0, 1] or of another kind or size, or labels that do not match.
    """
    models = list(models)
    form = accepted(models)
    if isinstance(images, (str, pathlib.PurePath)):
        images = data.load(images, "test", **form)
    images, labels = data.arrays(images, labels, **form)
    for model in models:
        model.check(images)
    return CleanImages(pixels_lib.in_bytes(images) if pixels == "uint8" else images), labels


def check_access(target: targets.Target, named: Iterable[tuple[str, Attack]]) -> None:
    """Raises `InputError` if the target does not allow one of the attacks, of `named_attacks`."""
    for _, attack in named:
        target.attacked_by(attack)


def accepted(models: Iterable[targets.Target]) -> dict:
    """What `data.load` and `data.arrays` have to know about the models that see the same images.

    Returns:
      "channels", by the first model that says so, or None; "bounds", see `scale.shared`.
    """
    models = list(models)
    channels = (model.input_shape[-1] for model in models if model.input_shape)
    return {"channels": next(filter(None, channels), None), "bounds": scale.shared(models)}


def subject(
    target: targets.Target,
    images: CleanImages,
    labels: np.ndarray,
    config: EvaluationConfig,
) -> Subject:
    """Asks a model about the clean images.

    Its batches are no larger than they need be and split evenly over all devices.

    Raises:
      InputError: for answers of no known kind, NaN among them, and for a label that is no class of the model.
    """
    logits, predictor = at_logits(target, images, config)
    batch_size, answers = predictor.batch_size, predictor.answers(images)
    targets.check_answers(answers, logits)
    if answers.ndim == 2 and labels.max() >= answers.shape[1]:
        raise InputError(f"{target.name} has {answers.shape[1]} classes, but there is a label {labels.max()}")
    scale.refuse_wrong(logits, predictor, images[:batch_size], labels[:batch_size], answers[:batch_size])
    # A model outside the process may cost money: it is asked a second time about one batch only.
    shown = np.arange(len(images) if logits.in_graph else min(batch_size, len(images)))
    if _differ(answers[shown], predictor.answers(images, shown)):
        predictor.draws = config.draws
    votes = predictor.votes(images, labels) if predictor.draws > 1 else Votes(predicted(answers)[None])
    return Subject(logits, predictor, answers, votes)


def at_logits(
    target: targets.Target, images: np.ndarray | CleanImages, config: EvaluationConfig
) -> tuple[targets.Target, Predictor]:
    """The target that answers with logits, and what asks it, in batches that are split evenly over all devices.

    What kind its answers are shows in the first images, with random ones after those of a small set.
    """
    wanted = config.batch_size or batches.default_size(images.shape[1:])
    batch_size = -(-min(wanted, len(images)) // devices.count()) * devices.count()
    shown = images[: max(batch_size, _ENOUGH)]
    if len(shown) < _ENOUGH:
        noise = np.random.default_rng(0).random([_ENOUGH - len(shown), *images.shape[1:]], dtype="float32")
        shown = np.concatenate([shown, noise])
    logits = target.mapped(lambda model: targets.at_logits(model, Predictor(model, batch_size).answers(shown)))
    return logits, Predictor(logits, batch_size)


def all_of(subject: Subject, images: CleanImages, labels: np.ndarray) -> Examples:
    """All examples, of which those are attacked that the subject classifies correctly."""
    return Examples(images, labels, attacked=subject.predictions == labels)


def _differ(one, other):
    """Whether two passes over the same images do not agree."""
    if one.ndim == 1:
        return bool((one != other).any())
    return bool(changes(one, other).max() > _SAME * max(np.median(np.ptp(one, axis=1)), 1e-12))
