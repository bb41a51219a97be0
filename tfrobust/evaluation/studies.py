"""Studies: one question that is put to several models, as the papers' tables and figures put it.

A study asks one model at a time and gives rows of numbers; the rows of several models are one table, one CSV file and
one picture.
"""

import abc
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
from tqdm import tqdm

from tfrobust import balls
from tfrobust.attacks import Attack
from tfrobust.evaluation import common_corruptions, corruptions, exported, metrics, prepare, similarity
from tfrobust.evaluation.config import EvaluationConfig
from tfrobust.evaluation.evaluate import evaluate
from tfrobust.evaluation.predictor import Predictor
from tfrobust.evaluation.render import figures, page, pictures
from tfrobust.evaluation.render.text import fitted, interval
from tfrobust.targets import Target

SHARES = (0.2, 0.5, 1.0)  # of eps_ref, in Deep Defense's tables
DEVIATION = " deviation"  # ends the name of a number that says how far several models' are apart: see `averaged`
_CURVE = 21  # points of a picture's curve


class Study(abc.ABC):
    """The abstract study.

    Attributes:
      name: of the study.
    """

    name: ClassVar[str]

    @abc.abstractmethod
    def rows(self, target: Target, images: np.ndarray, labels: np.ndarray, config: EvaluationConfig) -> list[dict]:
        """What is found of a model, each row with "model" and numbers by name.

        Args:
          target: the model.
          images: float32 [examples, height, width, channels] in [0, 1].
          labels: int [examples].
          config: seed and batch size.
        """

    @abc.abstractmethod
    def cells(self, rows: Sequence[dict]) -> list[list[str]]:
        """The lines of a table with a column for each model, the first of which is its heading."""

    @abc.abstractmethod
    def picture(self, rows: Sequence[dict]) -> bytes:
        """A PNG."""

    def table(self, rows: Sequence[dict]) -> str:
        """A text table of the rows of one or more models."""
        return "\n".join(fitted(self.cells(rows), words=1))

    def csv(self, rows: Sequence[dict]) -> str:
        """The same numbers in full, a line for each row; without curves."""
        return exported.as_csv([{n: value for n, value in row.items() if not isinstance(value, list)} for row in rows])


class Corrupted(Study):
    """The accuracy on images that are changed more and more. The abstract one: a subclass says how.

    Attributes:
      axis: what is changed, a column of the rows.
    """

    axis: ClassVar[str]

    @abc.abstractmethod
    def changed(self, images: np.ndarray, seed: int) -> Iterator[tuple[float, np.ndarray]]:
        """How much is changed, and the images that are changed so much; the first ones are the images themselves."""

    def rows(self, target: Target, images: np.ndarray, labels: np.ndarray, config: EvaluationConfig) -> list[dict]:
        _, predictor = prepare.at_logits(target, images, config)
        found = []
        for much, others in self.changed(images, config.seed):
            accuracy = metrics.accuracy(predictor.predictions(others), labels)
            found.append({"model": target.name, self.axis: much, **_with_interval(accuracy, len(labels))})
        return found

    def cells(self, rows: Sequence[dict]) -> list[list[str]]:
        lines: dict[float, list[str]] = {}
        for row in rows:
            lines.setdefault(row[self.axis], []).append(_share(row))
        heading = [self.name, *_names(rows)]
        return [heading, *([f"{self.axis} {much:g}", *shares] for much, shares in lines.items())]

    def picture(self, rows: Sequence[dict]) -> bytes:
        curves: dict[str, list[list[float]]] = {}
        for row in rows:
            curves.setdefault(row["model"], []).append([row[self.axis], row["accuracy"], row["low"], row["high"]])
        return pictures.lines_with_bands(curves, self.axis, "accuracy")


@dataclasses.dataclass(frozen=True)
class Accuracy(Corrupted):
    """The accuracy on images as they are, such as those of a stylized folder: does what was learned carry over?"""

    name: ClassVar[str] = "accuracy"
    axis: ClassVar[str] = "change"

    def changed(self, images: np.ndarray, seed: int) -> Iterator[tuple[float, np.ndarray]]:
        yield 0, images


@dataclasses.dataclass(frozen=True)
class Noise(Corrupted):
    """The accuracy by the size of Gaussian noise: see `corruptions.gaussian_noise`.

    Attributes:
      sigmas: of the noise, on the 0 to 255 scale.
    """

    sigmas: tuple[float, ...] = (1, 2, 4, 8, 16, 32)
    name: ClassVar[str] = "noise"
    axis: ClassVar[str] = "sigma"

    def changed(self, images: np.ndarray, seed: int) -> Iterator[tuple[float, np.ndarray]]:
        yield 0, images
        for sigma in self.sigmas:
            yield sigma, corruptions.gaussian_noise(images, sigma / 255, seed)


@dataclasses.dataclass(frozen=True)
class PatchShuffle(Corrupted):
    """The accuracy by the number of patches that are shuffled: see `corruptions.shuffled_patches`.

    The paper does so on images that each network classifies with a confidence above 0.99: see `confident`.

    Attributes:
      grids: patches to a side.
    """

    grids: tuple[int, ...] = (2, 4, 8)
    name: ClassVar[str] = "patch_shuffle"
    axis: ClassVar[str] = "grid"

    def changed(self, images: np.ndarray, seed: int) -> Iterator[tuple[float, np.ndarray]]:
        yield 1, images
        for grid in self.grids:
            yield grid, corruptions.shuffled_patches(images, grid, seed)


@dataclasses.dataclass(frozen=True)
class CommonCorruptions(Study):
    """The accuracy under common corruptions at five severities: see `common_corruptions.corrupted`.

    The table has each corruption's mean error over severities, their mean over corruptions and, of several models, mCE: the
    mean of the errors' ratios to those of the first model, which in the paper is AlexNet.

    Attributes:
      names: of the corruptions.
    """

    names: tuple[str, ...] = common_corruptions.NAMES
    name: ClassVar[str] = "corruptions"

    def rows(self, target: Target, images: np.ndarray, labels: np.ndarray, config: EvaluationConfig) -> list[dict]:
        _, predictor = prepare.at_logits(target, images, config)
        clean = metrics.accuracy(predictor.predictions(images), labels)
        found = [{"model": target.name, "corruption": "none", "severity": 0, **_with_interval(clean, len(labels))}]
        cases = [(name, severity) for name in self.names for severity in common_corruptions.SEVERITIES]
        for name, severity in tqdm(cases, "corruptions", disable=None if config.progress else True):
            others = common_corruptions.corrupted(images, name, severity, config.seed)
            accuracy = metrics.accuracy(predictor.predictions(others), labels)
            row = {"model": target.name, "corruption": name, "severity": severity}
            found.append({**row, **_with_interval(accuracy, len(labels))})
        return found

    def cells(self, rows: Sequence[dict]) -> list[list[str]]:
        models = list(dict.fromkeys(row["model"] for row in rows))
        errors = {model: self.errors([row for row in rows if row["model"] == model]) for model in models}
        clean = {row["model"]: _share(row) for row in rows if not row["severity"]}
        names = _names(rows)
        lines = [["", *names], ["clean accuracy", *(clean[model] for model in models)]]
        lines += [[f"error, {name}", *(f"{errors[model][name]:.2%}" for model in models)] for name in self.names]
        lines.append(["mean corruption error", *(f"{self.mean_error(errors[model]):.2%}" for model in models)])
        if len(models) > 1:
            relative = [self.mean_error(errors[model], errors[models[0]]) for model in models]
            lines.append([f"mCE, relative to {names[0]}", *(f"{value:.1%}" for value in relative)])
        return lines

    def section(self, rows: Sequence[dict]) -> page.Section:
        """The section of a report's page."""
        figure = figures.of(functools.partial(self.picture, rows), "Accuracy by the severity of corruptions")
        return page.Section("corruptions", "Common corruptions", figure, self.cells(rows))

    def errors(self, rows: Sequence[dict]) -> dict[str, float]:
        """The mean error over severities of each corruption, of the rows of one model."""
        return {n: 1 - float(np.mean([r["accuracy"] for r in rows if r["corruption"] == n])) for n in self.names}

    def mean_error(self, errors: dict[str, float], reference: dict[str, float] | None = None) -> float:
        """mCE (eq. 1): the mean over corruptions of the error, or of its ratio to that of a reference."""
        if reference is None:
            return float(np.mean(list(errors.values())))
        return float(np.mean([errors[name] / max(reference[name], 1e-12) for name in self.names]))

    def picture(self, rows: Sequence[dict]) -> bytes:
        curves: dict[str, dict[int, list[float]]] = {}
        for row in rows:
            curves.setdefault(row["model"], {}).setdefault(row["severity"], []).append(row["accuracy"])
        points = {}
        for model, severities in curves.items():
            points[model] = [(level, np.mean(a), min(a), max(a)) for level, a in severities.items()]
        return pictures.lines_with_bands(points, "severity (band: from the worst to the best corruption)", "accuracy")


@dataclasses.dataclass(frozen=True)
class WhiteBox(Study):
    """The columns of Deep Defense's tables: accuracy, rho_2, rho_inf, FGS at shares of eps_ref, and any attacks.

    An attack on a ball has its robust accuracy; one without has the mean l2 of what it breaks, and how alike that looks:
    PSNR, and PASS where the images are large enough.

    Attributes:
      attacks: or their texts.
      reference: eps_ref on the [0, 1] scale, the `metrics.fgsm_rho_inf` radius of the regularized network.
    """

    attacks: tuple[Attack | str, ...] = ("deepfool()",)
    reference: float = 0.1
    name: ClassVar[str] = "white_box"

    def rows(self, target: Target, images: np.ndarray, labels: np.ndarray, config: EvaluationConfig) -> list[dict]:
        found = evaluate(target, images, labels, self.attacks, config=config.changed(progress=False))
        target, _ = prepare.at_logits(target, images, config)
        origin = 0.0 if target.origin is None else target.origin
        rho_2, l2 = metrics.deepfool_rho_2(target.logits, images, labels, origin=origin)
        rho_inf, radius = metrics.fgsm_rho_inf(target.logits, images, labels, origin=origin)
        radii = [*(share * self.reference for share in SHARES), *np.linspace(0, self.reference, _CURVE)]
        accuracies = metrics.fgsm_accuracies(target.logits, images, labels, radii)
        row = {
            "model": target.name,
            **_with_interval(found.report["clean_accuracy"], len(labels)),
            "rho_2": float(rho_2.mean()),
            "l2": float(l2.mean()),
            "rho_inf": rho_inf,
            "fgsm_radius_at_half": radius,
        }
        row |= {f"fgsm at {share:g} eps_ref": value for share, value in zip(SHARES, accuracies)}
        for outcome in found.outcomes:
            row |= {f"{outcome.name} {key}": value for key, value in _numbers(outcome).items()}
        return [{**row, "radii": radii[len(SHARES) :], "fgsm": accuracies[len(SHARES) :]}]

    def cells(self, rows: Sequence[dict]) -> list[list[str]]:
        skipped = ("model", "accuracy", "low", "high", "examples", "radii", "fgsm", "models")
        columns = [name for name in rows[0] if name not in skipped and not name.endswith((" low", " high", DEVIATION))]
        lines = [[name, *(_cell(name, row) for row in rows)] for name in columns]
        return [["white box", *_names(rows)], ["accuracy", *map(_share, rows)], *lines]

    def picture(self, rows: Sequence[dict]) -> bytes:
        curves = {}
        for row in rows:
            bounds = [metrics.wilson_interval(share, row["examples"]) for share in row["fgsm"]]
            points = zip(row["radii"], row["fgsm"], bounds)
            curves[row["model"]] = [[radius, share, *ends] for radius, share, ends in points]
        return pictures.lines_with_bands(curves, "radius of FGS in linf", "accuracy")


def confident(predictors: Sequence[Predictor], images: np.ndarray, labels: np.ndarray, confidence: float) -> np.ndarray:
    """int, the examples that every model classifies correctly, with a probability above `confidence`."""
    chosen = np.ones(len(labels), bool)
    for predictor in predictors:
        logits = predictor.answers(images).astype("float64")
        own = logits[np.arange(len(labels)), labels]
        chosen &= np.exp(own - np.logaddexp.reduce(logits, axis=1)) > confidence
        chosen &= logits.argmax(axis=1) == labels
    return np.flatnonzero(chosen)


def averaged(name: str, models: Sequence[Sequence[dict]]) -> list[dict]:
    """The rows of several models, such as those of one training with several seeds, as the rows of one.

    Args:
      name: of what they have in common.
      models: the rows of each, of one study on the same images.

    Returns:
      rows with the mean of each number, and the standard deviation between the models as "<number> deviation".
      "models" says how many there are. A number that some model lacks is the mean of the others'.
    """
    return [_mean(name, rows) for rows in zip(*models, strict=True)]


def _mean(name, rows):
    found = {"model": name}
    for column in rows[0]:
        values = [row[column] for row in rows if row[column] is not None]
        if column == "model":
            continue
        if all(value == values[0] for value in values):  # such as a position on the axis, which a mean might round
            found[column] = values[0] if values else None
            continue
        found[column] = np.mean(values, axis=0).tolist()
        if not isinstance(values[0], list):
            found[column + DEVIATION] = float(np.std(values, ddof=1))
    return {**found, "models": len(rows)}


def _numbers(outcome):
    """What a table says of an attack."""
    if outcome.attack.bounded:
        share = 1.0 - float(outcome.broken.mean())
        found = _with_interval(share, len(outcome.broken))
        return {"robust": found["accuracy"], "robust low": found["low"], "robust high": found["high"]}
    hit = np.flatnonzero(outcome.hit)
    if not len(hit):
        return {"l2": None, "psnr": None}
    adversarial, images = outcome.adversarial[hit], outcome.examples.images[hit]
    found = {
        "l2": float(outcome.distances(balls.L2).mean()),
        "psnr": float(similarity.psnr(adversarial, images).mean()),
    }
    if min(images.shape[1:3]) >= similarity.WINDOW:
        found["pass"] = float(similarity.pass_scores(adversarial, images).mean())
    return found


def _names(rows):
    """What tells the models of these rows apart."""
    return pictures.distinct(list(dict.fromkeys(row["model"] for row in rows)))


def _with_interval(share, examples):
    return {"accuracy": float(share), **metrics.interval(share, examples), "examples": examples}


def _share(row, name="accuracy"):
    """A share with the interval of 95 %; of several models, with how far they are apart."""
    if "models" in row:
        return _text(row, name, "%")
    return f"{row[name]:.2%} ({interval(row[name], row['examples'])})"


def _cell(name, row):
    if row.get(name) is None:
        return ""
    if name.endswith(" robust"):
        return _share(row, name)
    return _text(row, name, "%" if name.endswith("eps_ref") else "")


def _text(row, name, unit):
    deviation = row.get(name + DEVIATION)
    value, *apart = (f"{x:.2%}" if unit else f"{x:.4f}" for x in (row[name], deviation) if x is not None)
    return " ± ".join([value, *apart])
