"""What an evaluation leaves: a table to print, report.json for programs and report.html to look at."""

import dataclasses
import importlib.metadata
import json
import pathlib
import platform
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfrobust import files
from tfrobust.errors import InputError
from tfrobust.evaluation import exported, image_files, provenance
from tfrobust.evaluation.gallery import Gallery
from tfrobust.evaluation.outcome import Outcome
from tfrobust.evaluation.render import figures, page, pictures, text
from tfrobust.evaluation.storage import CleanImages

if TYPE_CHECKING:
    import pandas


@dataclasses.dataclass(frozen=True, repr=False)
class Evaluation:
    """The result of `evaluate`. A notebook shows its table.

    Attributes:
      report: the contents of report.json.
      clean: the clean images as they were given; rows such as `clean[3]` are float32 in [0, 1].
      labels, predictions: of the clean images, the latter the model's.
      outcomes: an `Outcome` per attack, with the adversarial images.
      galleries: the examples of each that a page shows.
    """

    report: dict
    clean: CleanImages
    labels: np.ndarray
    predictions: np.ndarray
    outcomes: list[Outcome]
    galleries: Sequence[Gallery] = ()

    @property
    def images(self) -> np.ndarray:
        """All clean images: float32 in [0, 1], [examples, height, width, channels]."""
        return self.clean[:]

    def __repr__(self):
        worst = ", ".join(
            f"{found['robust_accuracy']:.2%} robust in {found['ball']}" for found in self.report["worst_case"]
        )
        count = f"{len(self.outcomes)} attack{'s' * (len(self.outcomes) > 1)}"
        attacks = f", {count}{': ' * bool(worst)}{worst}" if self.outcomes else ""
        clean = f"{self.report['clean_accuracy']:.2%} clean"
        return f"<Evaluation of {self.report['model']}: {self.report['examples']} examples, {clean}{attacks}>"

    def _repr_html_(self) -> str:
        return page.fragment([self])

    def table(self) -> str:
        """The report as text."""
        return text.table([self])

    def to_csv(self, path: str | pathlib.Path) -> pathlib.Path:
        """Writes a row for each attack, with the columns of report.json's `attacks` behind those of all; returns `path`.

        Example:
          >>> evaluate(model, images, labels, ["fgsm(linf(0.1))"]).to_csv("attacks.csv")
        """
        with files.written(path) as temporary:
            temporary.write_text(exported.csv_text(self.report), encoding="utf-8")
        return pathlib.Path(path)

    def to_dataframe(self) -> "pandas.DataFrame":
        """The rows of `to_csv` as a pandas DataFrame.

        Raises:
          InputError: where pandas is not installed.
        """
        return exported.dataframe(self.report)

    def save_examples(self, path: str | pathlib.Path) -> pathlib.Path:
        """Writes the numbers of each example as an .npz file: see `evaluation.exported.examples`; returns `path`.

        Raises:
          InputError: for a path that does not end in .npz.

        Example:
          >>> with np.load(found.save_examples("examples.npz")) as examples:
          ...     np.flatnonzero(examples["broken"].any(axis=0) & (examples["l2"].min(axis=0) < 0.5))
        """
        path = pathlib.Path(path)
        if path.suffix != ".npz":
            raise InputError(f"the numbers of the examples are an .npz file, got {path}")
        with files.written(path) as temporary:
            np.savez_compressed(temporary, **exported.examples(self.labels, self.predictions, self.outcomes))  # type: ignore[arg-type]  # none is allow_pickle
        return path

    def save(self, folder: str | pathlib.Path) -> pathlib.Path:
        """Writes report.json, report.html, curves.png, progress.png and, if an attack succeeded, pictures.png.

        Returns report.html's path.
        """
        return save(folder, self.report, [self])

    def save_adversarial(self, folder: str | pathlib.Path) -> pathlib.Path:
        """Writes the adversarial images as 8-bit PNG files: see `evaluation.image_files.save`."""
        return image_files.save(folder, self.outcomes)


def save(
    folder: str | pathlib.Path,
    report: dict,
    evaluations: Sequence[Evaluation],
    beside: page.Beside | None = None,
    more: Sequence[page.Section] = (),
) -> pathlib.Path:
    """Writes `report` as report.json, and report.html, curves.png, progress.png and pictures.png of the evaluations side by side.

    Args:
      folder: is made if need be; each file appears whole or not at all.
      report: what goes into report.json.
      evaluations: with the same attacks, the first being what the others are compared with.
      beside, more: what the page shows beside them: see `render.page`.

    Returns:
      The path of report.html.
    """
    last = evaluations[-1]
    run = provenance.of_run(last.report["model"], last.clean.pixels, last.labels)
    drawn = figures.drawn(evaluations)
    folder = pathlib.Path(folder)
    for name, contents in {
        "pictures.png": pictures.adversarial_images(evaluations),
        **{f"{name}.png": figure.light for name, figure in drawn.items()},
        "report.json": (json.dumps({**report, "run": run}, indent=2) + "\n").encode(),
        "report.html": page.page(evaluations, drawn, beside, run, more).encode(),
    }.items():
        if contents:
            with files.written(folder / name) as path:
                path.write_bytes(contents)
    return folder / "report.html"


def versions() -> dict[str, str | None]:
    """The versions that a result depends on."""
    packages = ("tfrobust", "tensorflow", "keras", "numpy", "ai-edge-litert")
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found
