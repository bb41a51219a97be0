"""What verification finds of artifacts that are not what they seem."""

import numpy as np
import pytest
import tensorflow as tf

from export import verification
from tests.support import tampering
from tfrobust import attacks, data, targets
from tfrobust.evaluation import EvaluationConfig
from tfrobust.evaluation.thresholds import Thresholds

TEST = data.load("digits", "test").take(40)


@pytest.fixture(scope="module")
def found(artifacts, tmp_path_factory):
    """A SavedModel with the reference's logits and false gradients, and a file whose second layer is scaled by 5 %."""
    folder = tmp_path_factory.mktemp("artifacts")
    model = targets.load_model(artifacts.model)
    module = tf.Module()
    module.model = model

    @tf.function(input_signature=[tf.TensorSpec([None, 28, 28, 1], tf.float32)])
    def answer(image):
        truth = tf.stop_gradient(model(image, training=False))
        false = tf.reduce_sum(image, axis=[1, 2, 3])[:, None] * tf.one_hot(3, 10)
        return {"logits": truth + false - tf.stop_gradient(false)}

    tf.saved_model.save(module, str(folder / "false"), {"serving_default": answer})
    tampering.rewritten(artifacts.int8, folder / "scaled.tflite", tampering.scaled(1))
    paths = (str(folder / "false"), str(folder / "scaled.tflite"))
    config = EvaluationConfig(progress=False, active_checks=False)
    plan = verification.Plan([attacks.parse("pgd(linf(0.1), steps=5)")], 30, 40, config)
    return verification.verify(targets.load(artifacts.model), {path: targets.load(path) for path in paths}, TEST, plan)


def test_false_gradients_get_numbers_of_their_own_and_are_called_masking(found):
    false, _ = found.artifacts
    reference = found.reference.report["attacks"][0]["robust_accuracy"]
    own, transferred = false.rows()[:2]
    assert own["robust_accuracy"] > reference + 0.3 and reference == transferred["robust_accuracy"]
    assert false.flip_rate == 0 and false.differences["adversarial"].relative_rms < 1e-4
    (masked,) = false.masking
    assert masked.masked and "gradient masking" in masked.verdict


def test_a_changed_layer_fails_conformance_and_is_named(found):
    _, scaled = found.artifacts
    lines = scaled.checks(Thresholds(), None)["logits on clean images"]
    assert lines and "more than 0.015" in lines[0]
    worst = max(scaled.departures, key=lambda one: one.growth)
    assert "conv2" in worst.tensor and not scaled.masking[0].masked


def test_attacks_on_the_reference_are_made_once(found):
    """Each artifact is shown the very images that were made on the reference."""
    made = found.reference.outcomes[0].adversarial
    for one in found.artifacts:
        np.testing.assert_array_equal(one.transferred.outcomes[0].adversarial, made)


def test_images_are_counted_one_by_one(found):
    false, scaled = (one.by_image["pgd(linf(0.1), steps=5)"] for one in found.artifacts)
    assert false["own"] < false["transferred"] and false["only_transferred"] > 5
    for one in (false, scaled):
        assert one["own"] - one["only_own"] == one["transferred"] - one["only_transferred"]


def test_without_gradients_nothing_is_said_of_masking(artifacts):
    """There is no white-box attack whose survivors others could break."""
    plan = verification.Plan([attacks.parse("square(linf(0.2), queries=10)")], 10, 0, EvaluationConfig(progress=False))
    path = str(artifacts.float32)
    found = verification.verify(targets.load(artifacts.model), {path: targets.load(path)}, TEST.take(10), plan)
    assert found.artifacts[0].masking == [] and len(found.matrix) == 4


def test_a_saved_models_rho_2_is_measured_from_the_references_origin(artifacts):
    plan = verification.Plan([attacks.parse("deepfool(steps=5)")], 0, 0, EvaluationConfig(progress=False))
    path = str(artifacts.saved_model)
    found = verification.verify(targets.load(artifacts.model), {path: targets.load(path)}, TEST.take(10), plan)
    (expected,), (own, _) = found.reference.report["attacks"], found.artifacts[0].rows()
    assert own["source"] is None and own["rho_2"] == pytest.approx(expected["rho_2"], rel=1e-3)
