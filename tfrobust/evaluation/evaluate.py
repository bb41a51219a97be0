"""Attacks a model, judges the attacks by one criterion and says how the model holds; or shows it what was made elsewhere."""

import sys
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import tqdm
from numpy.typing import ArrayLike

from tfrobust import data, targets
from tfrobust.attacks import Attack
from tfrobust.data import ImagesLike
from tfrobust.evaluation import breakdown, checks, columns, craft, evidence, gallery, prepare, radii, report
from tfrobust.evaluation.config import EvaluationConfig
from tfrobust.evaluation.judge import judge, outcomes_of
from tfrobust.evaluation.outcome import Outcome
from tfrobust.evaluation.report import Evaluation
from tfrobust.evaluation.storage import CleanImages
from tfrobust.targets import ModelLike


def evaluate(
    model: ModelLike,
    images: ImagesLike,
    labels: ArrayLike | None,
    attacks: Attack | str | Iterable[Attack | str],
    *,
    slices: Mapping[str, np.ndarray] | None = None,
    config: EvaluationConfig = EvaluationConfig(),  # noqa: B008, it is frozen
    **changes: Any,
) -> Evaluation:
    """Attacks a model and reports how it holds.

    Args:
      model: a Keras model, a `Target`, or the path of a .keras file, a .tflite file or a SavedModel. Attacks that need
        more access than it allows are made on another model and transferred where it is `WithSurrogate(model, other)`.
      images: float32 in [0, 1] or uint8, [examples, height, width, channels], as an array, a tensor or lists; or, with
        labels None, a `tf.data.Dataset` of (image, label), or a data set's name: see `tfrobust.data.arrays` and `load`.
      labels: int [examples] or [examples, 1], or one-hot [examples, classes].
      attacks: specifications such as "pgd(linf(8/255))", or attacks; or one of them.
      slices: by name, a value for each example, such as the camera: accuracies are reported for each value, as they are
        for each label; None: the columns of the data set, if it has some.
      config: seed, batch size and the like.
      **changes: fields of the configuration to change, such as seed=1.

    Returns:
      An `Evaluation`.

    Raises:
      InputError: for images outside [0, 1] or of the wrong kind, a model that gives probabilities, an attack that
        needs more access than the model allows, or a change that is no field of the configuration.

    Example:
      >>> print(evaluate(model, images, labels, ["fgsm(linf(0.1))", "deepfool()"], seed=1).table())
    """
    if slices is None:
        slices = images.columns if isinstance(images, data.Split) else {}
    posed = pose(model, images, labels, attacks, config.changed(**changes))._replace(columns=slices)
    return conclude(posed, outcomes_of(posed.named, posed.subject, posed.examples, posed.config))


class Posed(NamedTuple):
    """What is about to be attacked.

    Attributes:
      named: the attacks with their texts.
      subject: the model, which has been asked about the clean images.
      examples: the images.
      config: of the evaluation.
      columns: by name, a value for each example, whose slices are reported.
    """

    named: list[tuple[str, Attack]]
    subject: prepare.Subject
    examples: prepare.Examples
    config: EvaluationConfig
    columns: Mapping[str, np.ndarray] = MappingProxyType({})


def pose(model, images, labels, attacks, config: EvaluationConfig) -> Posed:
    """The first part of `evaluate`: looks at all that was given, and asks the model about the clean images."""
    target, named, images, labels, config = looked_at(model, images, labels, attacks, config)
    subject = prepare.subject(target, images, labels, config)
    return Posed(named, subject, prepare.all_of(subject, images, labels), config)


def looked_at(
    model, images, labels, attacks, config: EvaluationConfig
) -> tuple[targets.Target, list[tuple[str, Attack]], CleanImages, np.ndarray, EvaluationConfig]:
    """The target, the attacks with their texts, the images, the labels and the configuration, once nothing is wrong with them."""
    target, named = targets.as_target(model), prepare.named_attacks(attacks)
    config = config.changed(pixels="uint8") if target.takes_files else config
    images, labels = prepare.images_and_labels(images, labels, [target], config.pixels)
    prepare.check_access(target, named)
    _look_at(target, images, config)
    prepare.check_access(target, named)  # by now it may have turned out to give labels alone
    return target, named, images, labels, config


def show(
    found: Evaluation, model: ModelLike, *, examples: int | None = None, batch_size: int | None = None
) -> Evaluation:
    """Shows the images that an evaluation has made to another model: its evaluation under attacks by transfer.

    Nothing is attacked again, so it costs forward passes alone. An image that the model of `found` misclassifies was not
    attacked, and is shown as it is.

    Args:
      found: the evaluation of another model.
      model: as of `evaluate`; whatever access it allows, it is only asked about images.
      examples: the first so many of the images; None: all.
      batch_size: as of `evaluate`.

    Returns:
      An `Evaluation` whose attacks have the model of `found` for their source. It is not checked by asking the model more.

    Example:
      >>> of_reference = evaluate("model.keras", images, labels, ["pgd(linf(0.1))"])
      >>> show(of_reference, "model_int8.tflite").report["worst_case"]
    """
    target, name = targets.as_target(model), found.report["model"]
    config = EvaluationConfig(
        found.report["seed"], batch_size, found.report["dataset"], pixels=found.report["pixels"], active_checks=False
    )
    images, labels = CleanImages(found.clean.pixels[:examples]), found.labels[:examples]
    target.check(images)
    subject = prepare.subject(target, images, labels, config)
    chosen = prepare.all_of(subject, images, labels)
    outcomes = [
        judge(made.name, made.attack, craft.shown(made, name, subject.predictor, chosen), chosen, subject, config)
        for made in found.outcomes
    ]
    return conclude(Posed([], subject, chosen, config), outcomes)


def _look_at(target, images, config):
    """Asks a model outside the process about a few images before it is attacked, and says at once what is wrong with it."""
    probe = target.probe(images)
    for finding in checks.served.findings(probe) if probe and config.progress else ():
        tqdm.tqdm.write(f"{target.name}: {finding['code']}: {finding['evidence']}", file=sys.stderr)


def conclude(posed: Posed, outcomes: list[Outcome]) -> Evaluation:
    """The last part of `evaluate`: checks what the attacks did, and says how the model holds."""
    subject, examples, config = posed.subject, posed.examples, posed.config
    rows = [columns.row(outcome, subject.target) for outcome in outcomes]
    survived = radii.standing(outcomes, examples)
    found = evidence.gather(subject.target, subject.predictor, subject.answers, examples, outcomes, rows, config)
    contents = {
        "model": subject.target.name,
        "answers": subject.target.kind,
        "dataset": config.dataset,
        "examples": len(examples.labels),
        "pixels": config.pixels,
        "seed": config.seed,
        "draws": subject.predictor.draws,
        "versions": report.versions(),
        "clean_accuracy": float(examples.attacked.mean()),
        "clean_wrong_draws": columns.wrong_draws(subject.votes, examples.labels),
        "attacks": rows,
        "worst_case": radii.worst_cases(survived),
        "curves": radii.curves(outcomes, examples),
        "slices": breakdown.slices(posed.columns, outcomes, examples, survived),
        "warnings": checks.warnings(found),
        "endpoint": subject.target.about(),
    }
    galleries = [gallery.choose(outcome, subject) for outcome in outcomes]
    return Evaluation(contents, examples.images, examples.labels, subject.predictions, outcomes, galleries)
