"""What is found of artifacts: each beside the reference that it came from, on the same images under the same attacks.

Attacks are made once on the reference and shown to every artifact. On an artifact itself they are made too: on its own graph,
from its scores and from its decisions. What each model's own attacks find is shown to every other model.
"""

import contextlib
import dataclasses
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

import tfrobust as tfr
from export import (
    conformance,
    conversion,
    cost,
    departure,
    differential,
    masking,
    network,
    runtime_drift,
    weights,
    wire,
)
from export.artifact import Artifact
from export.differential import Differential
from export.serving import manifest
from tfrobust import balls
from tfrobust.attacks import Access, Attack
from tfrobust.evaluation import Evaluation, EvaluationConfig, pixels, show
from tfrobust.targets import saved_model

_SMOOTH = (balls.Linf, balls.L2)
_ADVERSARIAL = 200  # adversarial images, of all attacks together, on which logits are compared
_DRIFT = 32  # images that are shown to every runtime
_DIFFERENTIAL_STEPS = 40
_BY_TENSOR = 8  # images on which every tensor is compared


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is done with each artifact.

    Attributes:
      attacks: made on the reference, and on the artifact itself.
      own_examples: how many of the images are attacked on the artifact itself. A SavedModel's gradients cost what the
        reference's do: attacks on them are made on all images.
      queries: of the score-based and of the decision-based attack on each of these images; 0: neither is made.
      config: of all evaluations.
    """

    attacks: Sequence[Attack]
    own_examples: int
    queries: int
    config: EvaluationConfig

    @property
    def ball(self) -> balls.Ball | None:
        """That of the first attack that has one."""
        return next((attack.ball for attack in self.attacks if attack.ball is not None), None)

    def black_box(self) -> list[str]:
        """The attacks that need no gradients, in the plan's ball."""
        if not (self.queries and self.attacks):
            return []
        norm = "linf" if isinstance(self.ball, balls.Linf) else "l2"
        from_scores = [f"square({self.ball}, queries={self.queries})"] if isinstance(self.ball, _SMOOTH) else []
        # Few samples and as many steps as the queries are for: with the paper's 100 samples they would not last for one.
        decisions = f"hop_skip_jump({norm}, steps={max(self.queries // 50, 1)}, samples=20, tries=20)"
        return [*from_scores, f"budget({decisions}, queries={self.queries})"]


class Verification(NamedTuple):
    """What was found.

    Attributes:
      reference: its evaluation.
      artifacts: in the order in which they were given.
      matrix: for each source, model and attack of the plan a dict with these and "robust_accuracy", of the first
        `Plan.own_examples` images, made on the source and shown to the model.
    """

    reference: Evaluation
    artifacts: list[Artifact]
    matrix: list[dict]


def verify(
    reference: tfr.targets.Target, artifacts: Mapping[str, tfr.targets.Target], test: tfr.data.Split, plan: Plan
) -> Verification:
    """Finds out about each artifact.

    Args:
      reference: the model that they came from, a file that `export.network` loads.
      artifacts: by path.
      test: images and labels.
      plan: what is done.
    """
    expected = tfr.evaluate(reference, test, None, plan.attacks, config=plan.config)
    shown = _compared(expected)
    answers = {kind: conformance.logits_of(reference, images) for kind, images in shown.items()}
    found = [
        _alone(path, target, reference, test, expected, shown, answers, plan) for path, target in artifacts.items()
    ]
    made = {reference.name: expected, **{one.path: one.source_of(plan.attacks) for one in found}}
    models = {reference.name: reference, **artifacts}
    crossed = {
        (source, model): show(evaluation, target, examples=plan.own_examples, batch_size=plan.config.batch_size)
        for source, evaluation in made.items()
        if evaluation is not None and plan.attacks and plan.own_examples
        for model, target in models.items()
    }
    with _float32_file(found, reference) as float32_file:
        found = [_beside(one, reference, crossed, float32_file, plan) for one in found]
    matrix = [
        {"source": source, "model": model, "attack": row["attack"], "robust_accuracy": float((~outcome.broken).mean())}
        for (source, model), one in crossed.items()
        for row, outcome in zip(one.report["attacks"], one.outcomes)
    ]
    return Verification(expected, found, matrix)


def _compared(expected):
    """Images on which logits are compared: clean ones, and those that attacks made of them on the reference."""
    images = {"clean": expected.images}
    if expected.outcomes:
        each = -(-_ADVERSARIAL // len(expected.outcomes))
        images["adversarial"] = np.concatenate([np.asarray(one.adversarial[:each]) for one in expected.outcomes])
    return images


def _alone(path, target, reference, test, expected, shown, answers, plan):
    """What is found of an artifact without the others."""
    target.probe(expected.clean)
    few = test.take(plan.own_examples) if plan.own_examples else None
    white_box = target.access is Access.WHITE_BOX
    remarks: list[str] = []
    transferred = show(expected, target, batch_size=plan.config.batch_size)
    with_origin = tfr.targets.WithSurrogate(target, reference)  # from which rho_2 is measured; nothing is made on it
    native = tfr.evaluate(with_origin, test, None, plan.attacks, config=plan.config) if white_box else None
    black_box = [tfr.attacks.parse(text) for text in plan.black_box()]
    on_itself = _allowed(target, black_box if white_box else [*plan.attacks, *black_box], remarks)
    unchecked = plan.config.changed(active_checks=bool(plan.config.active_checks))
    own = tfr.evaluate(target, few, None, on_itself, config=unchecked) if few and on_itself else None
    is_file = isinstance(target, tfr.targets.TFLiteTarget)
    fooled = [found for found in (native, own) if found is not None] or [transferred]
    return Artifact(
        path=path,
        target=target,
        precision=conformance.precision_of(target),
        transferred=transferred,
        native=native,
        own=own,
        differences={
            kind: conformance.between(answers[kind], target, images)
            for kind, images in shown.items()
            if target.access >= Access.SCORE_BASED
        },
        flip_rate=float((transferred.predictions != expected.predictions).mean()),
        manifest=manifest.contradictions(saved_model.version_directory(path)) if pathlib.Path(path).is_dir() else None,
        drift=runtime_drift.measure(target, expected.images[:_DRIFT]) if is_file else None,
        survival={made.name: wire.survival(made, target) for found in fooled for made in found.outcomes},
        remarks=remarks,
        cost=cost.measure(path, target, expected.images),
    )


def _allowed(target, attacks, remarks):
    """The attacks that can be made on a target itself: all, where its file can be differentiated."""
    found = []
    for attack in attacks:
        try:
            target.attacked_by(attack)
            found.append(attack)
        except tfr.InputError as error:
            remarks.append(f"{attack} is not made on it: {error}")
    return found


def _beside(one, reference, crossed, float32_file, plan):
    """What is found of an artifact beside the reference and the others' attacks."""
    remarks, here = list(one.remarks), (one.path, one.path)
    found: dict[str, Any] = {"remarks": remarks}
    if here in crossed:
        by_itself = [crossed[here], *([] if one.own is None else [one.own])]
        by_reference = crossed[reference.name, one.path]
        of_reference = crossed[reference.name, reference.name]
        by_gradients = any(attack.needs is Access.WHITE_BOX for attack in plan.attacks)
        found["masking"] = [
            masking.judged(ball, of_reference, by_reference, by_itself)
            for ball in dict.fromkeys(attack.ball for attack in plan.attacks if attack.ball is not None)
            if by_gradients
        ]
        found["by_image"] = {
            own.name: _by_image(own.broken, other.broken)
            for own, other in zip(crossed[here].outcomes, by_reference.outcomes)
        }
        found["differential"] = _differential(one, reference, crossed, plan)
    if float32_file is not None and one.drift is not None:
        try:
            found["changed_weights"] = weights.changed(one.path, float32_file)
            if one.precision != "float32":
                images = one.target.scale.scale(one.transferred.images[:_BY_TENSOR])
                found["departures"] = departure.by_tensor(one.path, float32_file, images)
        except (tfr.InputError, RuntimeError, ValueError) as error:
            remarks.append(f"its tensors could not be compared: {error}")
    return dataclasses.replace(one, **found)


def _has_gradients(target):
    return target.access is Access.WHITE_BOX or isinstance(target, tfr.targets.TFLiteTarget)


def _by_image(own, transferred):
    counts = {
        "own": own,
        "transferred": transferred,
        "only_own": own & ~transferred,
        "only_transferred": transferred & ~own,
    }
    return {name: int(broken.sum()) for name, broken in counts.items()}


def _differential(one, reference, crossed, plan):
    """By APGD in the plan's ball: the region between two models is thin, and it halves its steps until it hits it."""
    if not isinstance(plan.ball, _SMOOTH) or not _has_gradients(one.target):
        return None
    clean, of_reference = crossed[reference.name, one.path], crossed[reference.name, reference.name]
    right = (clean.predictions == clean.labels) & (of_reference.predictions == clean.labels)
    if not right.any():
        return None
    attack = tfr.attacks.parse(f"apgd({plan.ball}, steps={_DIFFERENTIAL_STEPS}, objective=margin)")
    images, labels = clean.images[right], clean.labels[right]
    artifact = one.target.attacked_by(attack)
    made = differential.attacked(attack, reference, artifact, images, labels, plan.config.seed)
    answers = {model: conformance.logits_of(model, made).argmax(axis=1) for model in (reference, one.target)}
    hit = (answers[reference] == labels) & (answers[one.target] != labels) & pixels.is_valid(made, images, attack.ball)
    alone = zip(crossed[one.path, one.path].outcomes, crossed[one.path, reference.name].outcomes)
    by_attacks = np.any([(of_one.broken & ~other.broken)[right] for of_one, other in alone], axis=0)
    return Differential(str(attack), int(right.sum()), int(hit.sum()), int(by_attacks.sum()))


@contextlib.contextmanager
def _float32_file(found, reference):
    """The path of the float32 TFLite file that the converter makes of the reference; None if nobody needs or can make it."""
    if all(one.drift is None for one in found):
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "float32.tflite")
        try:
            path.write_bytes(conversion.convert(network.load(reference.name)))
            made = True
        except tfr.InputError:
            made = False
        yield path if made else None
