"""Black-box robustness by transfer: attacks are made on source models and shown to others.

The defense rate of a model is the share of adversarial images that it still classifies correctly, over the first
images that the *source* classifies correctly (Luo et al., ICLR 2019 submission, section 4.1).
"""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfrobust import targets
from tfrobust.attacks import Attack
from tfrobust.data import ImagesLike
from tfrobust.errors import InputError
from tfrobust.evaluation import checks, columns, evidence, exported, metrics, prepare, report
from tfrobust.evaluation.config import EvaluationConfig
from tfrobust.evaluation.judge import outcomes_of
from tfrobust.evaluation.outcome import Outcome
from tfrobust.evaluation.render import figures, overview, page, pictures, text
from tfrobust.targets import ModelLike


@dataclasses.dataclass(frozen=True)
class Transfer:
    """The result of `evaluate_transfer`.

    Attributes:
      report: a dict with "clean_accuracy" by model, and "defense_rates": a list of rows "source", "attack", "model",
        "examples", "source_robust_accuracy" (the white-box attack on the source itself), "defense_rate", and over all
        images, of which those that the source misclassifies are not attacked: "accuracy", and that divided by the
        accuracies on clean images of the model ("defense_success_rate", which on the source itself is the attack survival
        rate of ACE's paper) and of the source ("defense_success_rate_of_source"); and "warnings", of each source under
        its attacks and of each model's answers.
    """

    report: dict

    def rates(self) -> np.ndarray:
        """The defense rates as an array [sources, attacks, models]."""
        sizes = [len(self.report[axis]) for axis in ("sources", "attacks", "models")]
        return np.array([row["defense_rate"] for row in self.report["defense_rates"]]).reshape(sizes)

    def table(self) -> str:
        """A text table with a line for each model and a column for each source and attack."""
        return text.transfer_table(self)

    def csv(self) -> str:
        """The rows of "defense_rates" as comma-separated values, each with the 95 % interval of its defense rate."""
        return exported.as_csv(
            [{**row, **metrics.interval(row["defense_rate"], row["examples"])} for row in self.report["defense_rates"]]
        )

    def page(self, run: Mapping[str, str | None] | None = None) -> str:
        """An HTML page: who holds best and worst, the picture, and a table with intervals.

        Args:
          run: how it came about: see `provenance.of_run`.
        """
        report = self.report
        by_model: dict[str, list[dict]] = {}
        for row in report["defense_rates"]:
            by_model.setdefault(row["model"], []).append(row)
        names = dict(zip(by_model, pictures.distinct(list(by_model))))
        lowest = {model: min(rows, key=lambda row: row["defense_rate"]) for model, rows in by_model.items()}
        said = [
            f"{names[model]} withstands {row['defense_rate']:.1%} at least, of {row['attack']} from {row['source']}"
            for model, row in sorted(lowest.items(), key=lambda pair: -pair[1]["defense_rate"])
        ]
        columns = [(row["attack"], row["source"]) for row in next(iter(by_model.values()))]
        cells: list[list[str | dict[str, float]]] = [
            ["model", *(f"{attack} from {source}" for attack, source in columns)]
        ]
        for model, rows in by_model.items():
            cells.append([names[model], *(overview.share(row["defense_rate"], row) for row in rows)])
        warned = [
            f"{warning['code']} ({warning['model']}): {warning['evidence']}; {warning['remedy']}"
            for warning in report["warnings"]
        ]
        title = f"{len(by_model)} models against attacks from {len(report['sources'])} others"
        verdict = ["Attacks made on one model and shown to others", *said]
        beside = page.Beside(title, not warned, verdict, [("Defense rate", cells)], warned)
        drawn = figures.of(self.picture, "Defense rates of the models, attack by attack")
        return page.plain(beside, [("Defense rate by attack", drawn)], run)

    def picture(self) -> bytes:
        """A PNG with a panel for each source: how the defense rates of the models compare, attack by attack."""
        return pictures.defense_rates(self)


def evaluate_transfer(
    sources: Iterable[ModelLike],
    models: Iterable[ModelLike],
    attacks: Attack | str | Iterable[Attack | str],
    images: ImagesLike,
    labels: ArrayLike | None,
    *,
    examples: int | None = None,
    config: EvaluationConfig = EvaluationConfig(),  # noqa: B008, it is frozen
    **changes: Any,
) -> Transfer:
    """Makes every attack once on every source and shows the results to every model.

    Args:
      sources: what attacks are made on: Keras models, `Target`s or paths. They must allow what the attacks need.
      models: what the results are shown to, likewise.
      attacks: specifications such as "pgd(linf(16/255), steps=20)", or attacks; or one of them.
      images, labels: as for `evaluate`.
      examples: use so many of the images that a source classifies correctly; None: all of them.
      config: seed, batch size and the like, as for `evaluate`.
      **changes: fields of the configuration to change, such as seed=1.

    Returns:
      A `Transfer`.

    Raises:
      InputError: for a source that an attack cannot be made on, or that classifies fewer images correctly, and for
        what `evaluate` refuses.

    Example:
      >>> found = evaluate_transfer([source], [plain, masked], ["fgsm(linf(16/255))"], images, labels, examples=1000)
      >>> print(found.table())
    """
    config = config.changed(**changes)
    sources, models = ([targets.as_target(model) for model in group] for group in (sources, models))
    named = prepare.named_attacks(attacks)
    images, labels = prepare.images_and_labels(images, labels, [*sources, *models], config.pixels)
    for source, (_, attack) in itertools.product(sources, named):
        source.attacked_by(attack)
    subjects = {model: prepare.subject(model, images, labels, config) for model in dict.fromkeys([*models, *sources])}
    shown = [subjects[model] for model in models]
    rows, warnings = [], {}
    for subject in [subjects[source] for source in sources]:
        chosen = prepare.Examples(images, labels, _first(subject.predictions == labels, examples))
        outcomes = outcomes_of(named, subject, chosen, config)
        rows += [_row(subject, outcome, model) for outcome in outcomes for model in shown]
        warnings[subject.target.name] = _warnings(subject, chosen, outcomes, config)
    rest = {model.target.name: model for model in shown if model.target.name not in warnings}
    warnings |= {name: _warnings(it, prepare.all_of(it, images, labels), [], config) for name, it in rest.items()}
    return Transfer(
        {
            "sources": [source.name for source in sources],
            "attacks": [name for name, _ in named],
            "models": [model.name for model in models],
            "pixels": config.pixels,
            "seed": config.seed,
            "versions": report.versions(),
            "clean_accuracy": {model.target.name: float((model.predictions == labels).mean()) for model in shown},
            "defense_rates": rows,
            "warnings": [{"model": name, **warning} for name, found in warnings.items() for warning in found],
        }
    )


def merged(parts: Sequence[Transfer]) -> Transfer:
    """Of transfers from one source each, under the same attacks to the same models, the transfer from all of them."""
    first = parts[0].report
    warnings = []
    found: dict[str, dict[str, list[dict]]] = {}
    for part in parts:
        for warning in part.report["warnings"]:
            found.setdefault(warning["model"], {}).setdefault(part.report["sources"][0], []).append(warning)
    for model, by_source in found.items():  # of a source, those that its own attacks led to
        warnings += by_source.get(model, next(iter(by_source.values())))
    return Transfer(
        {
            **first,
            "sources": [source for part in parts for source in part.report["sources"]],
            "defense_rates": [row for part in parts for row in part.report["defense_rates"]],
            "warnings": warnings,
        }
    )


def _warnings(subject, examples, outcomes, config):
    rows = [columns.row(outcome, subject.target) for outcome in outcomes]
    found = evidence.gather(subject.target, subject.predictor, subject.answers, examples, outcomes, rows, config)
    return checks.warnings(found)


def _first(correct, examples):
    """bool [images]: which of them are used, the first ones that the source classifies correctly."""
    if examples is not None and correct.sum() < examples:
        raise InputError(f"the source classifies {correct.sum()} images correctly, fewer than the {examples} asked for")
    return correct & (np.cumsum(correct) <= (examples or len(correct)))


def _row(source: prepare.Subject, outcome: Outcome, model: prepare.Subject) -> dict:
    """How a model answers what an attack on the source found."""
    labels, used = outcome.examples.labels, outcome.examples.attacked
    votes = model.predictor.votes(outcome.images, labels[used], np.flatnonzero(used))
    right = (votes.predictions() == labels[used]).sum()
    # All images up to the last that is used.
    seen = np.arange(len(labels)) <= np.flatnonzero(used).max(initial=-1)
    own, of_source = ((subject.predictions == labels)[seen].sum() for subject in (model, source))
    kept = right + (model.predictions == labels)[seen & ~used].sum()
    return {
        "source": source.target.name,
        "attack": outcome.name,
        "model": model.target.name,
        "examples": int(used.sum()),
        "source_robust_accuracy": float((~outcome.broken[used]).mean()),
        "defense_rate": float(right / used.sum()),
        "accuracy": float(kept / seen.sum()),
        "defense_success_rate": float(kept / own) if own else None,
        "defense_success_rate_of_source": float(kept / of_source) if of_source else None,
    }
