"""A defense by what the attacker knows of it: ACE's scenarios, each against every network with every defense.

    vanilla      attacks on the network, shown to the defended one
    transfer     attacks on the other networks, shown to the defended one
    restricted   as vanilla, confined to the pixels G(fraction) with the largest gradient overlap
    adaptive     attacks on the defended network itself; on a random one, on its expectation over transformations
    black_box    score-based attacks on the defended network itself

ACE, ICLR 2019 submission, section 5.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence

import keras
import numpy as np
from numpy.typing import ArrayLike

from tfrobust import analysis, attacks, data, targets
from tfrobust.attacks import Attack
from tfrobust.data import ImagesLike
from tfrobust.errors import InputError
from tfrobust.evaluation import prepare
from tfrobust.evaluation.config import EvaluationConfig
from tfrobust.evaluation.render import scenario_tables
from tfrobust.evaluation.transfer import evaluate_transfer

SCENARIOS = ("vanilla", "transfer", "restricted", "adaptive", "black_box")
_KNOWING = ("adaptive", "black_box")
_PLAIN = "none"  # the defense of a network without one, where clean accuracies are reported
_FAR = 0.1  # by how much the accuracy may differ before it is said

Defense = Callable[[keras.Model], keras.Model]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is tried.

    Attributes:
      scenarios: some of `SCENARIOS`.
      attacks: of all scenarios but black_box.
      black_box: its attacks, which need scores only.
      fraction: p of the pixels G(p) of the restricted scenario.
      samples: draws of a random network that adaptive attacks average, where they do not average themselves.

    Raises:
      InputError: for an unknown scenario, or one without attacks.
    """

    scenarios: Sequence[str] = SCENARIOS
    attacks: Sequence[Attack | str] = ("pgd(l2(1.0), steps=40)",)
    black_box: Sequence[Attack | str] = ("square(linf(8/255), queries=1000)",)
    fraction: float = 0.3
    samples: int = 20

    def __post_init__(self):
        for name in self.scenarios:
            if name not in SCENARIOS:
                raise InputError(f"there are the scenarios {', '.join(SCENARIOS)}; got {name!r}")
            if not (self.black_box if name == "black_box" else self.attacks):
                raise InputError(f"the scenario {name} has no attacks")
        prepare.named_attacks((*self.attacks, *self.black_box))  # refuses what is none


@dataclasses.dataclass(frozen=True)
class Scenarios:
    """The result of `evaluate_scenarios`.

    Attributes:
      report: a dict with "rows", of `evaluate_transfer` with "scenario", "network", "defense" and, of the network
        without its defense, "attack_survival_rate" (null where it is not attacked); "clean_accuracy": of each network
        by defense, "none" among them; "headline": for each network and defense the lowest accuracy, with its scenario
        and attack; and "warnings".
    """

    report: dict

    def table(self) -> str:
        """Text tables as the paper has them, an attack a line and a network a column; the headlines and the warnings."""
        return "\n".join(scenario_tables.lines(self.report))


def evaluate_scenarios(
    networks: dict[str, keras.Model],
    defenses: dict[str, Defense],
    images: ImagesLike,
    labels: ArrayLike | None,
    *,
    plan: Plan = Plan(),
    config: EvaluationConfig = EvaluationConfig(),  # noqa: B008, it is frozen
) -> Scenarios:
    """Attacks networks and their defended forms in every scenario, and heads the result with the lowest accuracy.

    Args:
      networks: functional Keras models by name, without the defense.
      defenses: functions from a network to the defended one, by name, such as `defenses.pixel_shift`.
      images, labels: as for `evaluate`.
      plan: what is tried.
      config: as for `evaluate`.

    Raises:
      InputError: as `evaluate_transfer`.

    Example:
      >>> found = evaluate_scenarios({"lam 10": network}, {"shift": pixel_shift}, images, labels)
      >>> print(found.table())
    """
    bench = _Bench(networks, defenses, images, labels, plan, config)
    rows = [row for scenario in plan.scenarios for row in _ROWS[scenario](bench, plan)]
    pairs = [(network, defense) for network in networks for defense in defenses]
    grouped = {pair: [row for row in rows if (row["network"], row["defense"]) == pair] for pair in pairs}
    headline = [min(group, key=lambda row: row["accuracy"]) for group in grouped.values() if group]
    warnings = [warning for group in grouped.values() for warning in _gap(group)]
    clean = {network: bench.clean_accuracy(network) for network in networks}
    return Scenarios({"rows": rows, "clean_accuracy": clean, "headline": headline, "warnings": warnings})


class _Bench:
    """Networks with and without defenses as targets, and what they are shown."""

    def __init__(self, networks, defenses, images, labels, plan, config):
        self.plain = {name: targets.KerasTarget(network, name) for name, network in networks.items()}
        self.defended = {
            (name, defense): targets.KerasTarget(defend(network), f"{name}, {defense}")
            for name, network in networks.items()
            for defense, defend in defenses.items()
        }
        form = prepare.accepted([*self.plain.values(), *self.defended.values()])
        self.images, self.labels = data.arrays(images, labels, **form)
        self.config = config
        self._clean, self._plan = {}, plan
        self.on_plain = functools.cache(self._on_plain)

    def _on_plain(self, name):
        """What attacks on a network without its defense do to all that vanilla and transfer show them to, made once."""
        shown = self.defended if "transfer" in self._plan.scenarios else self.of(name)
        return self._report(self.plain[name], shown.values(), self._plan.attacks)

    def _report(self, source, shown, named):
        everyone = list(dict.fromkeys([source, *shown]))
        found = evaluate_transfer([source], everyone, named, self.images, self.labels, config=self.config).report
        self._clean |= found["clean_accuracy"]
        return found

    def clean_accuracy(self, network):
        """By defense, of what was asked."""
        targets_of = {_PLAIN: self.plain[network], **{defense: it for (_, defense), it in self.of(network).items()}}
        return {
            defense: self._clean[target.name] for defense, target in targets_of.items() if target.name in self._clean
        }

    def attacked(self, scenario, source, models, named):
        """The rows of attacks on one source that are shown to some defended models, by (network, defense)."""
        return self.rows(scenario, source, models, self._report(source, models.values(), named))

    def rows(self, scenario, source, models, found):
        """What a report says of some defended models, by (network, defense)."""
        shown = {target.name: pair for pair, target in models.items()}
        survival = {
            row["attack"]: row["defense_success_rate"]
            for row in found["defense_rates"]
            if row["model"] == source.name and source.name in self.plain
        }
        for row in found["defense_rates"]:
            if row["model"] in shown:
                network, defense = shown[row["model"]]
                kept = {"attack_survival_rate": survival.get(row["attack"]), **row}
                yield {"scenario": scenario, "network": network, "defense": defense, **kept}

    def of(self, name):
        """The defended forms of a network."""
        return {pair: target for pair, target in self.defended.items() if pair[0] == name}

    def is_random(self, target):
        """Whether a target answers differently each time."""
        few = prepare.images_and_labels(self.images[:8], self.labels[:8], [target], self.config.pixels)
        return prepare.subject(target, *few, self.config).votes.random


def _vanilla(bench, plan):
    for name, target in bench.plain.items():
        yield from bench.rows("vanilla", target, bench.of(name), bench.on_plain(name))


def _transfer(bench, plan):
    for name, target in bench.plain.items():
        others = {pair: defended for pair, defended in bench.defended.items() if pair[0] != name}
        if others:
            yield from bench.rows("transfer", target, others, bench.on_plain(name))


def _restricted(bench, plan):
    for name, target in bench.plain.items():
        pixels = analysis.top_pixels(analysis.gradient_overlap(target.model), plan.fraction)
        named = [(text, attacks.Restricted(attack, pixels)) for text, attack in prepare.named_attacks(plan.attacks)]
        texts = {str(attack): text for text, attack in named}  # those with the pixels differ by network
        for row in bench.attacked("restricted", target, bench.of(name), [attack for _, attack in named]):
            yield {**row, "attack": texts[row["attack"]]}


def _adaptive(bench, plan):
    for pair, target in bench.defended.items():
        named = [attack for _, attack in prepare.named_attacks(plan.attacks)]
        if bench.is_random(target):
            named = [a if isinstance(a, attacks.Expectation) else attacks.Expectation(a, plan.samples) for a in named]
        yield from bench.attacked("adaptive", target, {pair: target}, named)


def _black_box(bench, plan):
    for pair, target in bench.defended.items():
        yield from bench.attacked("black_box", target, {pair: target}, plan.black_box)


_ROWS = dict(zip(SCENARIOS, (_vanilla, _transfer, _restricted, _adaptive, _black_box), strict=True))


def _gap(rows: Iterable[dict]):
    """ADAPTIVE: the attacker who does not know of the defense leaves far more than the one who does."""
    rows = list(rows)
    least = [
        min((row["accuracy"] for row in rows if (row["scenario"] in _KNOWING) == knowing), default=np.nan)
        for knowing in (False, True)
    ]
    if np.isnan(least[0]):
        return
    found = {name: rows[0][name] for name in ("network", "defense")} | {"code": "ADAPTIVE"}
    if np.isnan(least[1]):
        evidence = f"{least[0]:.1%} is left by attacks that do not know of the defense, and no other was made"
        yield found | {"evidence": evidence, "remedy": "add the scenario adaptive, and report the lower number"}
    elif least[0] - least[1] > _FAR:
        evidence = f"attacks that do not know of the defense leave {least[0]:.1%}, those that do {least[1]:.1%}"
        yield found | {"evidence": evidence, "remedy": "report the lower number: the defense hides, it does not resist"}
