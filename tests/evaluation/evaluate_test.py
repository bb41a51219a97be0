"""The one rule of success, and what an evaluation reports."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import attacks, evaluate, evaluation, targets
from tfrobust.balls import Linf
from tfrobust.errors import InputError

IMAGES = classifiers.random_images(23)


@pytest.fixture(scope="module")
def network():
    return classifiers.smooth_network()


@pytest.fixture(scope="module")
def labels(network):
    """The network's predictions, but for every fifth image."""
    found = np.argmax(network(IMAGES), axis=1)
    found[::5] = (found[::5] + 1) % 4
    return found


@dataclasses.dataclass(frozen=True)
class Shift(attacks.Attack):
    """An attack that adds a constant, whatever happens."""

    ball: Linf
    amount: float = 0.1
    steps: int = 1

    name = "shift"
    needs = attacks.Access.WHITE_BOX

    def __str__(self):
        return f"shift({self.ball}, {self.amount})"

    def run(self, problem):
        return problem.images + self.amount * tf.sign(attacks.pgd(self.ball).run(problem) - problem.images)


def run(network, labels, attack_list, **arguments):
    return evaluate(network, IMAGES, labels, attack_list, progress=False, active_checks=False, **arguments)


@pytest.fixture(scope="module")
def whole(network, labels):
    """One evaluation at which several tests look."""
    return run(network, labels, ["pgd(linf(0.02))", "fgsm(linf(0.05))", "deepfool()"], dataset="noise")


def test_clean_accuracy_and_misclassified_images_are_left_alone(whole):
    assert whole.report["clean_accuracy"] == pytest.approx(18 / 23)
    for outcome in whole.outcomes:
        np.testing.assert_array_equal(outcome.adversarial[::5], IMAGES[::5])
        assert outcome.broken[::5].all()


def test_robust_accuracy_counts_recomputed_predictions(network, labels, whole):
    for row, outcome in zip(whole.report["attacks"][:2], whole.outcomes):
        correct = np.argmax(network(outcome.adversarial), axis=1) == labels
        assert row["robust_accuracy"] == pytest.approx(correct.mean())
    minimal = whole.report["attacks"][2]
    assert minimal["robust_accuracy"] is None and minimal["success_rate"] == 1


def test_the_worst_case_in_a_ball_counts_every_image_of_every_attack_inside(network, labels):
    """Also those of minimal-norm attacks, and of attacks that were confined to another ball."""
    found = run(
        network,
        labels,
        [
            "fgsm(linf(0.05))",
            "pgd(linf(0.02), steps=1, step_size=0.001)",
            "deepfool(linf)",
            "square(l2(0.2), queries=9)",
        ],
    )
    clean = np.argmax(network(IMAGES), axis=1) == labels
    for worst in found.report["worst_case"]:
        norm = {"linf": lambda d: np.abs(d).max(axis=(1, 2, 3)), "l2": lambda d: np.sqrt((d**2).sum(axis=(1, 2, 3)))}
        broken = np.zeros(23, bool)
        for outcome in found.outcomes:
            wrong = np.argmax(network(outcome.adversarial), axis=1) != labels
            broken |= wrong & (norm[worst["norm"]](outcome.adversarial - IMAGES) <= worst["radius"] + 1e-6)
        assert worst["robust_accuracy"] == pytest.approx((clean & ~broken).mean())
    assert [worst["ball"] for worst in found.report["worst_case"]] == ["linf(0.05)", "linf(0.02)", "l2(0.2)"]
    assert found.report["worst_case"][1]["robust_accuracy"] < found.report["attacks"][1]["robust_accuracy"]


def test_robust_accuracy_by_radius_falls_where_an_image_breaks_an_example(network, labels):
    found = run(network, labels, ["deepfool(linf)", "fgsm(linf(0.05))"])
    curve = found.report["curves"]["linf"]
    assert curve["radius"][0] == 0 and curve["robust_accuracy"][0] == pytest.approx(18 / 23)
    assert curve["robust_accuracy"] == sorted(curve["robust_accuracy"], reverse=True)
    distances = np.abs(found.outcomes[0].adversarial - IMAGES).max(axis=(1, 2, 3))[found.outcomes[0].hit]
    at = np.searchsorted(curve["radius"], np.median(distances), side="right") - 1
    assert curve["robust_accuracy"][at] <= (distances > np.median(distances)).sum() / 23
    assert set(found.report["curves"]) == {"linf"}


def test_targeted_attacks_are_judged_by_their_goal(network, labels):
    """Any wrong class is not enough for the goal's rate, and images of the goal's class are not robust: they cannot fail."""
    found = run(network, labels, ["targeted(pgd(linf(0.15), steps=10), goal=3)", "pgd(linf(0.15), steps=10)"])
    (outcome, _), (row, untargeted) = found.outcomes, found.report["attacks"]
    correct = np.argmax(network(IMAGES), axis=1) == labels
    tried = correct & (labels != 3)
    seen = np.argmax(network(outcome.adversarial), axis=1)
    assert 0 < tried.sum() < correct.sum()
    assert row["target_rate"] == pytest.approx((seen[tried] == 3).mean()) and untargeted["target_rate"] is None
    assert row["robust_accuracy"] == pytest.approx((seen[tried] == labels[tried]).sum() / (tried | ~correct).sum())
    np.testing.assert_array_equal(outcome.adversarial[labels == 3], IMAGES[labels == 3])


def test_goals_that_are_no_class_or_the_true_labels_are_refused(network, labels):
    with pytest.raises(InputError, match="goal 50 is no class of a model with 4"):
        run(network, labels, ["targeted(pgd(linf(0.1)), goal=50)"])
    with pytest.raises(InputError, match="would take the true labels for its goals"):
        run(network, labels, ["pgd(linf(0.1), targeted=True)"])


def test_what_leaves_the_ball_or_the_range_does_not_count(network, labels):
    clean = run(network, labels, []).report["clean_accuracy"]
    far, infinite = (run(network, labels, [Shift(Linf(0.1), amount)]) for amount in (0.5, float("nan")))
    for found in (far, infinite):
        assert found.report["attacks"][0]["robust_accuracy"] == clean
    assert far.outcomes[0].invalid > 0
    assert "BUDGET" in {warning["code"] for warning in far.report["warnings"]}
    assert run(network, labels, [Shift(Linf(0.1))]).report["attacks"][0]["robust_accuracy"] < clean


def test_medians_are_over_the_images_the_attack_broke(network, labels, whole):
    outcome, row = whole.outcomes[2], whole.report["attacks"][2]
    hit = outcome.broken & (np.argmax(network(IMAGES), axis=1) == labels)
    distances = np.linalg.norm((outcome.adversarial - IMAGES)[hit].reshape(hit.sum(), -1), axis=1)
    assert row["median_l2"] == pytest.approx(np.median(distances), rel=1e-5)
    assert row["success_rate"] == 1


def test_does_not_depend_on_the_batch_size(network, labels, whole):
    found = run(network, labels, ["pgd(linf(0.02))", "deepfool()"], batch_size=7)
    for one, other in zip(found.outcomes, (whole.outcomes[0], whole.outcomes[2])):
        np.testing.assert_allclose(one.adversarial, other.adversarial, atol=1e-4)


def test_queries_and_backward_passes_are_counted_per_image(network, labels):
    """Forward the clean image once more than in steps. DeepFool's one step: 3 distances and a normal backward."""
    names = ("fgsm(linf(0.1))", "pgd(linf(0.1), steps=7)", "pgd(linf(0.1), steps=7, restarts=2)", "deepfool(steps=1)")
    rows = run(network, labels, names).report["attacks"]
    assert [(row["queries"], row["backward_passes"]) for row in rows] == [(2, 1), (8, 7), (17, 14), (3, 4)]


def test_report_is_json_with_every_field(whole):
    report = json.loads(json.dumps(whole.report))
    assert set(report) == {
        *("model", "answers", "dataset", "examples", "pixels", "seed", "draws", "versions", "clean_accuracy"),
        *("clean_wrong_draws", "attacks", "worst_case", "curves", "slices", "warnings", "endpoint"),
    }
    fields = "attack norm radius robust_accuracy robust_accuracy_uint8 success_rate target_rate attack_survival_rate"
    for row in report["attacks"]:
        others = "defense_success_rate wrong_draws median_l2 median_linf rho_2 queries backward_passes seconds stages trace source"
        assert set(row) == {*fields.split(), *others.split()}
    _, fgsm, deepfool = report["attacks"]
    assert (fgsm["norm"], fgsm["rho_2"], fgsm["radius"]) == ("linf", None, 0.05)
    assert (deepfool["norm"], deepfool["radius"]) == (None, None) and deepfool["rho_2"] > 0


def scores_only(network):
    return targets.FunctionTarget(lambda images: network(images).numpy(), name="scores only")


def test_a_score_based_target_is_attacked_through_a_surrogate_only(network, labels):
    with pytest.raises(InputError, match=r"needs white-box access, but scores only allows score-based .*WithSurrogate"):
        run(scores_only(network), labels, ["fgsm(linf(0.1))"])
    found = run(targets.WithSurrogate(scores_only(network), network), labels, ["fgsm(linf(0.1))"])
    direct = run(network, labels, ["fgsm(linf(0.1))"])
    assert found.report["model"] == "scores only"
    assert found.report["attacks"][0]["source"] == network.name
    assert found.report["attacks"][0]["robust_accuracy"] == direct.report["attacks"][0]["robust_accuracy"]
    assert "TRANSFER" in {warning["code"] for warning in found.report["warnings"]}
    assert "fgsm(linf(0.1)) (transferred)" in found.table()


def test_an_attack_that_the_target_allows_is_not_made_on_the_surrogate(network, labels):
    target = targets.WithSurrogate(scores_only(network), classifiers.smooth_network(seed=1))
    square, pgd = run(target, labels, ["square(linf(0.1), queries=20)", "pgd(linf(0.1))"]).report["attacks"]
    assert square["source"] is None and pgd["source"] == target.surrogate.name
    direct = run(scores_only(network), labels, ["square(linf(0.1), queries=20)"]).report["attacks"][0]
    assert {**square, "seconds": 0} == {**direct, "seconds": 0}


def test_rho_2_is_the_targets_own_and_measured_from_the_surrogates_origin(network, labels):
    """Relative to the distance from its origin: with one of 0.5, the images are nearer to it and rho_2 is larger."""
    surrogate = targets.KerasTarget(network)
    surrogate.origin = np.float32(0.5)
    target = targets.KerasTarget(network)
    own = run(target, labels, ["deepfool()"]).report["attacks"][0]["rho_2"]
    target.origin = None
    borrowed = run(targets.WithSurrogate(target, surrogate), labels, ["deepfool()"]).report["attacks"][0]
    sizes = [np.linalg.norm((IMAGES - origin).reshape(23, -1), axis=1) for origin in (0.0, 0.5)]
    assert borrowed["source"] is None and borrowed["rho_2"] > own * (sizes[0] / sizes[1]).min()
    transferred = run(targets.WithSurrogate(scores_only(network), network), labels, ["deepfool()"]).report["attacks"][0]
    assert transferred["rho_2"] is None


def test_everything_misclassified_is_no_error(network):
    others = (np.argmax(network(IMAGES), axis=1) + 1) % 4
    report = run(network, others, ["fgsm(linf(0.1))"]).report
    assert report["clean_accuracy"] == 0 and report["attacks"][0]["success_rate"] is None


def test_unusable_input_is_refused(network, labels):
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        evaluate(network, IMAGES * 255, labels, [])
    with pytest.raises(InputError, match="4 classes, but there is a label 9"):
        evaluate(network, IMAGES, np.full(23, 9), [], progress=False)
    with pytest.raises(InputError, match="takes images of shape"):
        evaluate(network, classifiers.random_images(2, (4, 4, 3)), labels[:2], [], progress=False)


def test_the_configuration_is_a_value_whose_fields_keywords_change(network, labels):
    attack = ["square(linf(0.03), queries=20)"]
    config = evaluation.EvaluationConfig(seed=3, progress=False, dataset="noise")
    found = evaluate(network, IMAGES, labels, attack, config=config)
    same = evaluate(network, IMAGES, labels, attack, seed=3, progress=False)
    other = evaluate(network, IMAGES, labels, attack, config=config, seed=4)
    assert [one.report["dataset"] for one in (found, same, other)] == ["noise", None, "noise"]
    assert [one.report["seed"] for one in (found, same, other)] == [3, 3, 4]
    images = [one.outcomes[0].adversarial for one in (found, same, other)]
    assert np.array_equal(images[0], images[1]) and not np.array_equal(images[0], images[2])


def test_an_unknown_option_is_refused_with_the_known_ones(network, labels):
    with pytest.raises(InputError, match=r"'sed'; there are: seed, batch_size, dataset, progress, pixels"):
        run(network, labels, [], sed=1)


def test_what_was_made_on_one_model_is_shown_to_another(network, labels, whole):
    """As transferred attacks are, but nothing is attacked again."""
    transferred = targets.WithSurrogate(scores_only(network), network)
    expected = run(transferred, labels, [outcome.attack for outcome in whole.outcomes])
    found = evaluation.show(whole, scores_only(network))
    for row, other in zip(found.report["attacks"], expected.report["attacks"]):
        assert row["source"] == whole.report["model"] and row["robust_accuracy"] == other["robust_accuracy"]
        assert row["queries"] == other["queries"]
    few = evaluation.show(whole, network, examples=5)
    assert few.report["examples"] == 5 and few.report["attacks"][0]["source"] == whole.report["model"]
    for outcome, other in zip(few.outcomes, whole.outcomes):
        np.testing.assert_array_equal(outcome.broken, other.broken[:5])
