"""Black-box robustness by transfer: attacks are made on source models and shown to others.

The defence rate of a model is the share of adversarial images that it still classifies correctly, over the first
images that the *source* classifies correctly (Luo et al., ICLR 2019 submission, section 4.1).
"""

import dataclasses
import io
import itertools
import pathlib
import textwrap

import numpy as np

from tfrobust import attacks as attacks_lib
from tfrobust import data, targets
from tfrobust.errors import InputError
from tfrobust.evaluation import report, runner
from tfrobust.evaluation.finished import FinishedBatches


@dataclasses.dataclass(frozen=True)
class Transfer:
    """The result of `evaluate_transfer`.

    Attributes:
      report: a dict with "clean_accuracy" by model, and "defence_rates": a list of rows "source", "attack", "model",
        "examples", "source_robust_accuracy" (the white-box attack on the source itself) and "defence_rate".
    """

    report: dict

    def rates(self):
        """The defence rates as an array [sources, attacks, models]."""
        sizes = [len(self.report[axis]) for axis in ("sources", "attacks", "models")]
        return np.array([row["defence_rate"] for row in self.report["defence_rates"]]).reshape(sizes)

    def table(self):
        """A text table with a line for each model and a column for each source and attack."""
        columns = [*itertools.product(self.report["sources"], self.report["attacks"])]
        rates = self.rates().reshape(len(columns), -1)
        notes = [f"[{number}] {attack} from {source}" for number, (source, attack) in enumerate(columns, start=1)]
        rows = [["model", "clean", *(f"[{number}]" for number in range(1, len(columns) + 1))]]
        for model, column in zip(self.report["models"], rates.T):
            clean = self.report["clean_accuracy"][model]
            rows.append([model, f"{clean:.2%}", *(f"{rate:.2%}" for rate in column)])
        return "\n".join([*report.aligned(rows, left=1), *notes])

    def picture(self):
        """A PNG with a panel for each source: how the defence rates of the models compare, attack by attack."""
        from matplotlib import figure

        sources, attacks, models = (self.report[axis] for axis in ("sources", "attacks", "models"))
        wrapped = [textwrap.fill(attack, 16) for attack in attacks]
        size = (2 + 1.1 * len(attacks) * len(sources), 2 + 0.4 * len(models))
        canvas = figure.Figure(figsize=size, layout="constrained")
        canvas.suptitle("Defence rate", fontsize=11)
        panels = canvas.subplots(1, len(sources), squeeze=False, sharey=True)[0]
        for panel, source, rates in zip(panels, _distinct(sources), self.rates()):
            panel.imshow(rates.T, vmin=0, vmax=1, cmap="Blues", aspect="auto")
            panel.set_title(f"attacks made on {source}", fontsize=9)
            panel.set_xticks(range(len(attacks)), wrapped, fontsize=7)
            panel.set_yticks(range(len(models)), _distinct(models), fontsize=8)
            for (column, row), rate in np.ndenumerate(rates):
                color = "white" if rate > 0.6 else "black"
                panel.text(column, row, f"{rate:.0%}", ha="center", va="center", fontsize=8, color=color)
        buffer = io.BytesIO()
        canvas.savefig(buffer, format="png", dpi=120)
        return buffer.getvalue()


def _distinct(names):
    """Paths without the leading folders and the file name that all of them share."""
    parts = [pathlib.PurePath(name).parts for name in names]
    if len({path[-1] for path in parts}) == 1 and all(len(path) > 1 for path in parts):
        parts = [path[:-1] for path in parts]
    shared = itertools.takewhile(lambda folders: len(set(folders)) == 1, zip(*(path[:-1] for path in parts)))
    start = sum(1 for _ in shared)
    return ["/".join(path[start:]) for path in parts]


def evaluate_transfer(
    sources, models, attacks, images, labels, *, examples=None, seed=0, batch_size=100, progress=True
):
    """Makes every attack once on every source and shows the results to every model.

    Args:
      sources: what attacks are made on: Keras models, `Target`s or paths. They must give what the attacks need.
      models: what is judged, likewise.
      attacks: a list of specifications such as "pgd(linf(16/255), steps=20)", or of attacks.
      images: float32 [examples, height, width, channels] in [0, 1].
      labels: int [examples].
      examples: use so many of the images that a source classifies correctly; None: all of them.
      seed, batch_size, progress: as for `evaluate`.

    Returns:
      A `Transfer`.

    Raises:
      InputError: for a source that an attack cannot be made on, or that classifies fewer images correctly.

    Example:
      >>> print(evaluate_transfer([source], [plain, masked], ["fgsm(linf(16/255))"], images, labels, examples=1000).table())
    """
    sources, models = ([targets.as_target(model) for model in group] for group in (sources, models))
    attacks = {str(attack): attacks_lib.parse(attack) if isinstance(attack, str) else attack for attack in attacks}
    images, labels = np.asarray(images), np.asarray(labels)
    data.check_images(images, labels)
    images = images.astype("float32")
    judges = [runner.Judge(model, batch_size) for model in models]
    rows = []
    for source in sources:
        crafters = [runner.make_crafter(name, attack, source, source=None) for name, attack in attacks.items()]
        judge = runner.Judge(source, batch_size)
        chosen = runner.Examples(images, labels, _right(judge, images, labels, examples))
        for crafter in crafters:
            outcome = runner.run_attack(crafter, judge, chosen, seed, progress, FinishedBatches(None))
            shown, truth = outcome.adversarial[chosen.right], labels[chosen.right]
            for model, victim in zip(models, judges):
                rows.append(
                    {
                        "source": source.name,
                        "attack": crafter.name,
                        "model": model.name,
                        "examples": len(truth),
                        "source_robust_accuracy": float((~outcome.broken[chosen.right]).mean()),
                        "defence_rate": float((victim.predictions(shown) == truth).mean()),
                    }
                )
    return Transfer(
        {
            "sources": [source.name for source in sources],
            "attacks": list(attacks),
            "models": [model.name for model in models],
            "seed": seed,
            "versions": report.versions(),
            "clean_accuracy": {
                model.name: float((judge.predictions(images) == labels).mean()) for model, judge in zip(models, judges)
            },
            "defence_rates": rows,
        }
    )


def _right(judge, images, labels, examples):
    """bool [images]: which of them are used, the first ones that the source classifies correctly."""
    right = judge.predictions(images) == labels
    if examples is not None and right.sum() < examples:
        raise InputError(f"the source classifies {right.sum()} images correctly, fewer than the {examples} asked for")
    return right & (np.cumsum(right) <= (examples or len(right)))
