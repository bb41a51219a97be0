"""What models answer with: probabilities of every kind, labels, NaN, something else each time."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import InputError, evaluate, targets

IMAGES = classifiers.random_images(60)
NETWORK = classifiers.smooth_network()
LOGITS = NETWORK(IMAGES).numpy()
LABELS = LOGITS.argmax(axis=1)
PGD, SQUARE = "pgd(linf(0.03), steps=5)", "square(linf(0.05), queries=10)"


def run(model, attacks, labels=LABELS, **changes):
    return evaluate(model, IMAGES, labels, attacks, progress=False, batch_size=60, active_checks=False, **changes)


def softmax(images):
    return tf.nn.softmax(NETWORK(images)).numpy()


PROBABILITIES = {
    "float16": lambda images: softmax(images).astype("float16"),
    "percent": lambda images: 100.0 * softmax(images),
    "three decimals": lambda images: softmax(images).round(3),
    "8 bits": lambda images: np.round(softmax(images) * 256) / 256,
    "float32": softmax,
}


@pytest.fixture(scope="module")
def robust():
    """What the attack leaves where the logits are given."""
    report = run(targets.FunctionTarget(lambda images: NETWORK(images).numpy()), [SQUARE]).report
    return report["attacks"][0]["robust_accuracy"]


@pytest.mark.parametrize("kind", PROBABILITIES)
def test_probabilities_are_attacked_at_their_logarithm_and_said_to_be(kind, robust):
    found = run(targets.FunctionTarget(PROBABILITIES[kind], name=kind), [SQUARE])
    assert found.report["answers"] == "probabilities" and "attacked at their logarithm" in found.table()
    assert found.report["attacks"][0]["robust_accuracy"] == pytest.approx(robust, abs=0.07) and robust < 0.95


def test_gradients_go_through_the_logarithm():
    class Softmax(targets.KerasTarget):
        def logits(self, images):
            return tf.nn.softmax(super().logits(images))

    found, expected = (run(make(NETWORK), [PGD]) for make in (Softmax, targets.KerasTarget))
    assert found.report["attacks"][0]["robust_accuracy"] == expected.report["attacks"][0]["robust_accuracy"] < 0.9


def test_logits_are_not_taken_for_probabilities():
    for logits in (LOGITS, np.abs(LOGITS), LOGITS - LOGITS.mean(axis=1, keepdims=True) + 0.25):
        assert not targets.are_probabilities(logits)


def test_labels_are_a_declared_kind_of_answer_on_which_decision_based_attacks_run():
    labels_only = targets.FunctionTarget(lambda images: NETWORK(images).numpy().argmax(axis=1), "decision-based")
    found = run(labels_only, ["boundary(steps=10)", "hop_skip_jump(linf, steps=1, samples=5)"])
    assert found.report["answers"] == "labels"
    assert all(row["success_rate"] > 0.9 for row in found.report["attacks"])
    one_hot = targets.FunctionTarget(lambda images: np.eye(4)[NETWORK(images).numpy().argmax(axis=1)])
    with pytest.raises(InputError, match="FunctionTarget\\(function, 'decision-based'\\)"):
        run(one_hot, [SQUARE])


def test_nan_is_an_error_on_a_clean_image_and_breaks_no_adversarial_one():
    def fragile(images):
        logits = NETWORK(images).numpy()
        changed = ~np.isclose(images[:, None], IMAGES[None], atol=1e-6).all(axis=(2, 3, 4)).any(axis=1)
        logits[changed] = np.nan
        return logits

    found = run(targets.FunctionTarget(fragile), [SQUARE])
    assert found.report["attacks"][0]["robust_accuracy"] == 1 and (found.outcomes[0].predictions == -1).all()
    with pytest.raises(InputError, match="NaN or infinite logits, first for image 0"):
        run(targets.FunctionTarget(lambda images: fragile(images + 0.1)), [SQUARE])


class Noisy(targets.KerasTarget):
    """Logits plus normal noise, another one each time."""

    def __init__(self, deviation):
        super().__init__(NETWORK)
        self.deviation = deviation

    def logits(self, images):
        logits = super().logits(images)
        return logits + tf.random.normal(tf.shape(logits), stddev=self.deviation)


def test_attacks_that_do_nothing_do_not_lower_the_accuracy_of_a_random_model():
    """By single draws, each takes its share: the last line shows how much."""
    noisy = Noisy(1.0)
    idle = [f"fgsm(linf({number}e-6))" for number in range(1, 7)]
    found = run(noisy, idle, draws=60)
    broken = np.any([outcome.hit for outcome in found.outcomes], axis=0)
    assert broken.mean() < 0.05 < found.report["clean_wrong_draws"]["share"]
    assert found.report["draws"] == 60 and "judged by most of 20 to 60 draws" in found.table()
    row = found.report["attacks"][0]["wrong_draws"]
    assert row["low"] < row["share"] < row["high"]
    single = np.any([noisy.predictor()(IMAGES).argmax(axis=1) != LABELS for _ in idle], axis=0)
    assert single.mean() > 0.2


def test_an_attack_on_a_random_model_counts_where_most_draws_are_wrong():
    found = run(Noisy(0.5), ["expectation(pgd(linf(0.1), steps=5), samples=4)"], draws=60)
    wrong = NETWORK(found.outcomes[0].adversarial).numpy().argmax(axis=1) != LABELS
    assert (found.outcomes[0].broken == wrong).mean() > 0.9 and wrong.mean() > 0.3


def test_a_fixed_model_is_asked_once():
    report = run(NETWORK, [PGD]).report
    assert report["draws"] == 1 and report["clean_wrong_draws"] is None
    assert report["attacks"][0]["wrong_draws"] is None
