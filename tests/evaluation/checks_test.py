"""Each warning comes where it should, and a sound evaluation has none."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers, deceivers
from tfrobust import attacks as attacks_lib
from tfrobust import evaluate
from tfrobust.evaluation import checks
from tfrobust.evaluation.evidence import Evidence
from tfrobust.evaluation.outcome import Outcome
from tfrobust.evaluation.predictor import Votes
from tfrobust.evaluation.prepare import Examples
from tfrobust.evaluation.probes.gradients import Directions
from tfrobust.evaluation.probes.searches import Search
from tfrobust.evaluation.storage import Images
from tfrobust.evaluation.traces import Curves

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
    few = Evidence(np.zeros([999, 4]), [], attacks=[attacks_lib.parse(attack["attack"])], rows=[attack])
    assert [warning["code"] for warning in checks.attacks.few_examples(few)] == ["N"]


def test_a_result_is_an_upper_bound_where_every_attack_was_transferred():
    transferred = {**row("pgd(linf(0.1))", 0.4), "source": "model.keras"}
    assert found(checks.attacks.transferred, transferred) == ["TRANSFER"]
    assert found(checks.attacks.transferred, transferred, row("square(linf(0.1))", 0.4)) == []


COUNT = 1000
CLEAN = np.full([COUNT, 2, 2, 1], 0.5, "float32")


def outcome(text, broken=0, moved=COUNT, answer=1, trace=None):
    """What an attack did to 1,000 images of class 0: it broke the first ones, and moved the first ones."""
    broken, adversarial = np.arange(COUNT) < broken, CLEAN.copy()
    adversarial[:moved] += 0.05
    return Outcome(
        **{"name": text, "attack": attacks_lib.parse(text), "source": None, "invalid": 0, "goals": None},
        examples=Examples(CLEAN, np.zeros(COUNT, int), np.ones(COUNT, bool)),
        **{
            "images": Images(adversarial),
            "broken": broken,
            "broken_uint8": broken,
            "fools": broken,
        },
        votes=Votes(np.where(broken, answer, 0)[None]),
        **{"trace": trace, "queries": 10.0, "backward_passes": 10.0, "seconds": 1.0},
    )


def of_outcomes(check, *outcomes, **evidence):
    """The codes of a check's warnings about these outcomes."""
    attacks = [one.attack for one in outcomes]
    given = Evidence(np.zeros([COUNT, 4]), np.zeros(COUNT, int), attacks=attacks, outcomes=outcomes, **evidence)
    return [warning["code"] for warning in check(given)]


def curves(objective, reached=0, stages=()):
    columns = len(objective)
    return Curves(
        np.arange(1, columns + 1), np.zeros(columns), np.array(objective), np.arange(COUNT) < reached, tuple(stages)
    )


def test_black_box_attacks_that_break_what_gradients_left():
    check, gradient = checks.attacks.stronger_black_box, outcome("pgd(linf(0.1))", 10)
    assert of_outcomes(check, gradient, outcome("square(linf(0.1))", 13)) == ["BLACK>WHITE"]
    assert of_outcomes(check, gradient, outcome("square(linf(0.1))", 12)) == []
    assert of_outcomes(check, gradient, outcome("square(linf(0.2))", 500)) == []


def test_the_last_stage_of_a_cascade():
    def stages(left):
        trace = curves([0.0], stages=[("apgd(linf(0.1))", 400), ("square(linf(0.1))", left)])
        return of_outcomes(checks.attacks.last_stage, outcome("auto_attack(linf(0.1))", 700, trace=trace))

    assert (stages(390), stages(399)) == (["BLACK>WHITE"], [])


def test_successes_that_were_not_returned():
    for reached, code in ((20, ["SILENT"]), (11, [])):
        attack = outcome("pgd(linf(0.1))", 10, trace=curves([0.0], reached))
        assert of_outcomes(checks.attacks.silent, attack) == code


def test_attacks_that_stop_while_they_rise():
    rising, done = curves(np.linspace(-5.0, -1.0, 21)), curves(1.0 / -(np.arange(1, 22) ** 2))
    check, strong = checks.attacks.incomplete, outcome("apgd(linf(0.1))", 20, trace=done)
    assert of_outcomes(check, outcome("bim(linf(0.1))", 10, trace=rising)) == ["INCOMPLETE"]
    assert of_outcomes(check, strong) == of_outcomes(check, outcome("bim(linf(0.1))", 10, trace=rising), strong) == []
    assert of_outcomes(check, outcome("pgd(linf(0.1))", COUNT, trace=curves([-5.0, -1.0] * 5, COUNT))) == []


def test_decision_based_attacks_without_a_start():
    assert of_outcomes(checks.attacks.no_start, outcome("boundary()", 10, moved=999)) == ["NOSTART"]
    assert of_outcomes(checks.attacks.no_start, outcome("boundary()", 10), outcome("deepfool()", moved=5)) == []


def test_adversarial_images_without_an_answer():
    assert of_outcomes(checks.model.not_a_number, outcome("pgd(linf(0.1))", 3, answer=-1)) == ["NANLOGITS"]
    assert of_outcomes(checks.model.not_a_number, outcome("pgd(linf(0.1))", 3)) == []


def search(broken, count=100, label=0):
    return Search("attack", np.arange(count) < broken, np.full(count, label) + np.arange(count) % 10)


def test_what_attacks_on_samples_say():
    standing = np.arange(COUNT) < 500
    for check, field, fires, silent in (
        (checks.searches.black_box, "black_box", search(3), search(0)),
        (checks.searches.unbounded, "far", search(75), search(85)),
        (checks.searches.converged, "longer", search(10), search(4)),  # of a sample, beyond chance
        (checks.searches.converged, "longer", search(10, 500), search(9, 500)),  # of all that stand
    ):
        assert len(of_outcomes(check, standing=standing, **{field: fires})) == 1, field
        assert of_outcomes(check, standing=standing, **{field: silent}) == [], field


def test_a_median_is_taken_of_no_less_than_five_images():
    def found(*errors):
        """Where gradients miss by this much of images, whatever the step."""
        along = np.tile(np.float32(errors), [3, 1])
        directions = Directions(np.arange(len(errors)), (0.0001, 0.001, 0.01), along, np.zeros_like(along))
        evidence = Evidence(np.zeros([9, 4]), np.zeros(9, int), directions={"at the adversarial images": directions})
        return [warning["code"] for warning in checks.gradients.untrue(evidence)]

    assert found(0.3, 0.3, 0.01) == found(0.3, 0.3, 0.3, 0.3) == found(0.3, 0.3, 0.01, 0.01, 0.01) == []
    assert found(0.3, 0.3, 0.3, 0.01, 0.01) == ["SHATTERED"]
    assert found(0.9, 0.01) == [] and found(0.9, 0.9) == ["SHATTERED"]  # two are enough where nearly all is wrong


def test_logits_are_looked_at_by_their_gradients():
    labels = np.arange(COUNT) % 4
    for margin, code in ((200.0, ["LOGITS"]), (60.0, []), (2.0, []), (0.01, ["LOGITS"])):
        evidence = Evidence(margin * np.eye(4, dtype="float32")[labels] - margin / 3, labels)
        assert [found["code"] for found in checks.model.scale_of_logits(evidence)] == code, margin


def trained_with(attack, *attacks):
    """The codes about these attacks on a model that was trained with one."""
    evidence = Evidence(
        np.zeros([9, 4]),
        np.zeros(9, int),
        attacks=[attacks_lib.parse(text) for text in attacks],
        trained_with=attack and attacks_lib.parse(attack),
    )
    return [warning["code"] for warning in checks.attacks.trained_with_the_same(evidence)]


def test_the_training_attack_alone_says_little():
    training = "pgd(linf(8/255), steps=7)"
    assert trained_with(training, "pgd(linf(0.1), steps=40)", "restarts(fgsm(linf(0.1)), 2)") == ["TRAIN=TEST"]
    assert trained_with("deepfool()", "deepfool(steps=9)") == ["TRAIN=TEST"]
    for others in (["pgd(l2(1))"], ["pgd(linf(0.1))", "square(linf(0.1))"], ["deepfool(linf)"], []):
        assert trained_with(training, *others) == []
    assert trained_with(None, training) == []


def test_an_evaluation_is_told_what_the_model_was_trained_with(network):
    labels = np.argmax(network(IMAGES), axis=1)
    options = {"trained_with": "fgsm(linf(0.02))", "active_checks": False, "progress": False}
    report = evaluate(network, IMAGES, labels, "fgsm(linf(0.1))", **options).report
    assert "TRAIN=TEST" in {warning["code"] for warning in report["warnings"]}


def test_an_undefended_model_must_fall():
    def report(robust, ball="linf(0.1)"):
        return {"model": "plain", "worst_case": [{"ball": ball, "robust_accuracy": robust}]}

    (warning,) = checks.ablation(report(0.6), report(0.4))
    assert warning["code"] == "ABLATION" and "(plain), 40.0% still stand in linf(0.1)" in warning["evidence"]
    assert not list(checks.ablation(report(0.6), report(0.05)))
    assert not list(checks.ablation(report(0.6), report(0.4, "l2(1)")))


@pytest.mark.parametrize("broken, expected", [(0, ["ACTIVETEST"]), (6, ["ACTIVETEST"]), (9, []), (10, [])])
def test_an_attack_must_break_what_is_made_breakable(broken, expected):
    search = Search("pgd(linf(0.1))", np.arange(10) < broken, np.zeros(10, int))
    evidence = Evidence(np.zeros([90, 4]), np.zeros(90, int), breakable=search)
    assert [warning["code"] for warning in checks.searches.active(evidence)] == expected
