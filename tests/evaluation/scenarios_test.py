"""A defense by what the attacker knows: on networks that look at one pixel each, where every number is known."""

import functools
import re

import keras
import numpy as np
import pytest

from tests.support import classifiers
from tfrobust import InputError, evaluation
from tfrobust.defenses import pixel_shift
from tfrobust.evaluation import Plan, evaluate_scenarios, evaluate_transfer, scenarios

GRAY = classifiers.random_images(12, (1, 1, 1), low=0.3, high=0.7)
IMAGES = np.tile(GRAY, (1, 6, 5, 1))  # all pixels of an image are the same, so that a shift changes no clean answer
LABELS = (GRAY[:, 0, 0, 0] <= 0.5).astype(int)
CONFIG = evaluation.EvaluationConfig(progress=False, active_checks=False)


def looks_at(row, column):
    """Says class 0 where that pixel is brighter than 1/2."""
    images = keras.Input((6, 5, 1))
    x = keras.layers.Conv2D(1, 3, padding="same")(images)
    model = keras.Model(images, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    copies = np.zeros((3, 3, 1, 1))
    copies[1, 1] = 1
    kernel = np.zeros((6, 5, 2))
    kernel[row, column, 0] = 1
    model.set_weights([copies, np.zeros(1), kernel.reshape(30, 2), np.array([-0.5, 0])])
    return model


NETWORKS = {"a": looks_at(2, 2), "b": looks_at(3, 3)}
PLAN = Plan(attacks=["fgsm(linf(0.3))"], black_box=["square(linf(0.3), queries=100)"], fraction=0.5)


@functools.cache
def found():
    return evaluate_scenarios(NETWORKS, {"shift": pixel_shift}, IMAGES, LABELS, plan=PLAN, config=CONFIG)


def accuracies(scenario):
    return {row["network"]: row["accuracy"] for row in found().report["rows"] if row["scenario"] == scenario}


def test_a_shift_undoes_what_was_made_without_it_and_nothing_else():
    """0.3 moves the one pixel that counts over 1/2; the defended network looks at the one beside it."""
    for scenario in ("vanilla", "transfer", "restricted"):
        assert accuracies(scenario) == {"a": 1, "b": 1}, scenario
    for scenario in ("adaptive", "black_box"):
        assert accuracies(scenario) == {"a": 0, "b": 0}, scenario
    survival = {row["scenario"]: row["attack_survival_rate"] for row in found().report["rows"]}
    assert survival == {"vanilla": 0, "transfer": 0, "restricted": 0, "adaptive": None, "black_box": None}


def test_the_lowest_accuracy_heads_the_report_and_a_gap_is_warned_of():
    for network, row in zip(NETWORKS, found().report["headline"], strict=True):
        assert (row["network"], row["defense"], row["accuracy"], row["scenario"]) == (network, "shift", 0, "adaptive")
    assert [warning["code"] for warning in found().report["warnings"]] == ["ADAPTIVE"] * 2
    assert "do not know of the defense leave 100.0%, those that do 0.0%" in found().report["warnings"][0]["evidence"]
    table = found().table()
    assert "lowest of a with shift: accuracy 0.0%" in table and "warning ADAPTIVE (a, shift)" in table


def test_tables_have_an_attack_a_line_and_a_network_a_column():
    lines = [re.split("  +", line.strip()) for line in found().table().splitlines()]
    of = {line[0]: lines[place : place + 4] for place, line in enumerate(lines)}
    assert [line[1:] for line in of["clean accuracy"]] == [["a", "b"], [], ["100.0%"] * 2, ["100.0%"] * 2]
    assert [line[0] for line in of["clean accuracy"][2:]] == ["none", "shift"]
    vanilla = of["vanilla, shift: success rate (accuracy)"]
    assert vanilla[0][1:] == ["a", "b"] and vanilla[2] == ["fgsm(linf(0.3))", *["100.0% (100.0%)"] * 2]
    transfer = of["transfer, shift: success rate (accuracy)"]
    assert transfer[0][1:] == ["a", "b"] and transfer[2] == ["fgsm(linf(0.3))", "on a", "100.0% (100.0%)"]
    assert of["adaptive, shift: success rate (accuracy)"][2] == ["fgsm(linf(0.3))", *["0.0% (0.0%)"] * 2]
    assert of["restricted, shift: success rate (accuracy)"][2] == vanilla[2]  # one line, though the pixels differ
    assert of["vanilla, no defense: survival rate"][2] == ["fgsm(linf(0.3))", "0.0%", "0.0%"]


def test_without_an_adaptive_attack_the_number_is_not_trusted():
    plan = Plan(scenarios=["vanilla"], attacks=PLAN.attacks)
    one = evaluate_scenarios({"a": NETWORKS["a"]}, {"shift": pixel_shift}, IMAGES, LABELS, plan=plan, config=CONFIG)
    (warning,) = one.report["warnings"]
    assert "no other was made" in warning["evidence"] and "add the scenario adaptive" in warning["remedy"]


def test_of_random_defenses_the_expectation_is_attacked():
    averages = "expectation(fgsm(linf(0.2)), 5)"
    plan = Plan(scenarios=["adaptive"], attacks=[*PLAN.attacks, averages], samples=3)
    defenses = {"random": functools.partial(pixel_shift, direction="random"), "given": pixel_shift}
    images = classifiers.random_images(12, (6, 5, 1))  # of which shifts differ
    one = evaluate_scenarios({"a": NETWORKS["a"]}, defenses, images, LABELS, plan=plan, config=CONFIG)
    attacks = [(row["defense"], row["attack"]) for row in one.report["rows"]]
    of_random = [("random", "expectation(fgsm(linf(0.3)), 3)"), ("random", averages)]
    assert attacks == [*of_random, ("given", "fgsm(linf(0.3))"), ("given", averages)]


def test_vanilla_and_transfer_show_the_same_adversarial_images(monkeypatch):
    made = []

    def counted(sources, *others, **keywords):
        made.append(sources[0].name)
        return evaluate_transfer(sources, *others, **keywords)

    monkeypatch.setattr(scenarios, "evaluate_transfer", counted)
    plan = Plan(scenarios=["vanilla", "transfer"], attacks=PLAN.attacks)
    both = evaluate_scenarios(NETWORKS, {"shift": pixel_shift}, IMAGES, LABELS, plan=plan, config=CONFIG)
    assert made == ["a", "b"]
    alone = [row for row in found().report["rows"] if row["scenario"] in plan.scenarios]
    assert both.report["rows"] == alone


@pytest.mark.parametrize(
    "arguments, said",
    [
        ({"scenarios": ["white_box"]}, "there are the scenarios vanilla, .* got 'white_box'"),
        ({"attacks": []}, "the scenario vanilla has no attacks"),
        ({"black_box": []}, "the scenario black_box has no attacks"),
        ({"attacks": ["pdg()"]}, "pdg"),
    ],
)
def test_plans_without_sense_are_refused(arguments, said):
    with pytest.raises(InputError, match=said):
        Plan(**arguments)
