"""Black-box robustness by transfer: attacks are made on source models and shown to others.

The defence rate of a model is the share of adversarial images that it still classifies correctly, over the first
images that the *source* classifies correctly (Luo et al., ICLR 2019 submission, section 4.1).
"""

import dataclasses
import itertools

import numpy as np

from tfrobust import attacks as attacks_lib
from tfrobust import data, targets
from tfrobust.errors import InputError
from tfrobust.evaluation import report, runner


@dataclasses.dataclass(frozen=True)
class Transfer:
    """The result of `transfer`.

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


def transfer(sources, models, attacks, images, labels, *, examples=None, seed=0, batch_size=100, progress=True):
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
      >>> print(transfer([source], [plain, masked], ["fgsm(linf(16/255))"], images, labels, examples=1000).table())
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
            outcome = runner.run_attack(crafter, judge, chosen, seed, progress)
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
