"""Each warning comes where it should, and a sound evaluation has none."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers, deceivers
from tfrobust import attacks as attacks_lib
from tfrobust import evaluate
from tfrobust.evaluation import checks
from tfrobust.evaluation.evidence import Evidence

IMAGES = classifiers.random_images(40)


@pytest.fixture(scope="module")
def network():
    return classifiers.smooth_network()


def codes(network, logits_fn, attacks=()):
    labels = np.argmax(network(IMAGES), axis=1)
    warnings = evaluate(deceivers.Wrapped(logits_fn, (6, 5, 3)), IMAGES, labels, list(attacks), progress=False).report[
        "warnings"
    ]
    assert all(warning["evidence"] and warning["remedy"] for warning in warnings)
    return {warning["code"] for warning in warnings}


def test_a_plain_network_is_warned_of_only_for_the_number_of_images(network):
    assert codes(network, network, ["fgsm(linf(0.1))", "pgd(linf(0.1))", "deepfool()"]) <= {"N", "GRID"}


def test_saturated_cross_entropy(network):
    assert "LOGITS" in codes(network, lambda x: 1000.0 * network(x))


def test_random_models(network):
    assert "RANDOM" in codes(network, lambda x: network(x) + 0.01 * tf.random.normal([tf.shape(x)[0], 4]))


def test_masked_gradients(network):
    def rounded(x):
        return network(tf.round(x * 255.0) / 255.0) + 0.0 * tf.reduce_sum(x)

    assert "ZEROGRAD" in codes(network, rounded)


def test_broken_gradients(network):
    def root_of_zero(x):
        return network(x) + tf.sqrt(tf.reduce_sum(0.0 * x)) * [1.0, 0.0, 0.0, 0.0]

    assert "NANGRAD" in codes(network, root_of_zero)


def found(check, *rows, classes=4):
    """The codes of a check's warnings about these rows of a report."""
    attacks = [attacks_lib.parse(row["attack"]) for row in rows]
    evidence = Evidence(np.zeros([1000, classes]), np.zeros(1000, int), attacks=attacks, rows=rows)
    return [warning["code"] for warning in check(evidence)]


def row(attack, robust, radius=0.1, uint8=None):
    return {
        **{"attack": attack, "norm": "linf", "radius": radius, "robust_accuracy": robust, "source": None},
        "robust_accuracy_uint8": robust if uint8 is None else uint8,
    }


def test_few_classes_matter_to_attacks_that_need_more():
    targeted, plain = row("apgd_targeted(linf(0.1))", 0.4), row("pgd(linf(0.1))", 0.4)
    assert found(checks.model.few_classes, targeted, classes=3) == ["FEWCLS"]
    assert found(checks.model.few_classes, row("auto_attack(linf(0.1))", 0.4), classes=2) == ["FEWCLS"]
    assert (
        found(checks.model.few_classes, targeted, classes=4) == found(checks.model.few_classes, plain, classes=2) == []
    )


def test_one_step_that_beats_many():
    single, iterative, larger = ("fgsm(linf(0.1))", "pgd(linf(0.1))", "pgd(linf(0.2))")
    others = [row(iterative, 0.4), row(larger, 0.5, 0.2)]
    assert found(checks.attacks.order, row(single, 0.3), *others) == ["ORDER"]
    assert found(checks.attacks.order, row(single, 0.4), *others) == []


def test_attacks_without_steps_or_with_one_are_in_no_order():
    assert found(checks.attacks.order, row("fgsm(linf(0.1))", 0.1), row("pgd(linf(0.1), steps=1)", 0.4)) == []
    assert found(checks.attacks.order, row("square(linf(0.1))", 0.1), row("pgd(linf(0.1))", 0.4)) == []


def test_more_survivors_in_a_larger_ball():
    small, large = row("pgd(linf(0.1), steps=5)", 0.4), row("pgd(linf(0.2), steps=5)", 0.5, 0.2)
    assert found(checks.attacks.monotone, large, small) == ["MONOTONE"]
    assert found(checks.attacks.monotone, small, {**large, "attack": "pgd(linf(0.2), steps=9)"}) == []
    assert found(checks.attacks.monotone, small, {**large, "robust_accuracy": 0.4}) == []


def test_rounding_that_matters():
    assert found(checks.attacks.grid, row("pgd(linf(0.1))", 0.4, uint8=0.5)) == ["GRID"]
    assert found(checks.attacks.grid, row("pgd(linf(0.1))", 0.4), row("deepfool()", 0.0, radius=None, uint8=0.5)) == []


def test_the_examples_are_too_few_below_a_thousand():
    attack = row("pgd(linf(0.1))", 0.4)
    assert found(checks.attacks.few_examples, attack) == []
    assert [w["code"] for w in checks.attacks.few_examples(Evidence(np.zeros([999, 4]), [], rows=[attack]))] == ["N"]


def test_a_result_is_an_upper_bound_where_every_attack_was_transferred():
    transferred = {**row("pgd(linf(0.1))", 0.4), "source": "model.keras"}
    assert found(checks.attacks.transferred, transferred) == ["TRANSFER"]
    assert found(checks.attacks.transferred, transferred, row("square(linf(0.1))", 0.4)) == []
