"""Targets: the same model behind three formats gives the same logits, and nothing else is mistaken for one."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import interpreter

from export import saved_model, tflite
from tests.support import classifiers
from tfrobust import attacks, models, objectives, targets
from tfrobust.errors import InputError

IMAGES = classifiers.random_images(5, (28, 28, 1))


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return models.lenet(mean=0.3, std=0.1)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """model.keras, model.tflite, int8.tflite and saved/2/, and saved/1/ of another model."""
    folder = tmp_path_factory.mktemp("targets")
    model.save(folder / "model.keras")
    saved_model.write(models.lenet(), folder / "saved" / "1")
    saved_model.write(model, folder / "saved" / "2")
    (folder / "saved" / "latest").mkdir()
    (folder / "model.tflite").write_bytes(tflite.convert(model))
    (folder / "int8.tflite").write_bytes(tflite.convert(model, "int8", IMAGES))
    return folder


@pytest.mark.parametrize(
    "name, access",
    [
        *(("model.keras", "white-box"), ("saved", "white-box"), ("saved/2", "white-box")),
        ("model.tflite", "score-based"),
    ],
)
def test_every_format_gives_the_models_logits(model, folder, name, access):
    target = targets.load(folder / name)
    assert str(target.access) == access and target.input_shape == (28, 28, 1)
    predict = target.predictor()
    for images in (IMAGES, IMAGES[:2]):  # a second batch size
        np.testing.assert_allclose(predict(images), model(images), atol=1e-5)


def test_the_lower_version_is_still_there(model, folder):
    assert not np.allclose(targets.load(folder / "saved" / "1").predictor()(IMAGES), model(IMAGES))


def test_gradients_flow_through_a_saved_model(model, folder):
    found, expected = (
        attacks.Problem(target.logits, IMAGES, np.arange(5)).value_and_gradient(objectives.cross_entropy, IMAGES)[1]
        for target in (targets.load(folder / "saved"), targets.KerasTarget(model))
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(found).max() > 0


def test_int8_is_near(model, folder):
    logits = targets.load(folder / "int8.tflite").predictor()(IMAGES)
    error = np.abs(logits - model(IMAGES)).max()
    assert 0 < error < 0.1 * np.abs(model(IMAGES)).max()


def test_integer_input_and_output_are_converted(model, tmp_path):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = lambda: ([image[None]] for image in IMAGES)
    converter.inference_input_type = converter.inference_output_type = tf.int8
    (tmp_path / "whole_int8.tflite").write_bytes(converter.convert())
    logits = targets.load(tmp_path / "whole_int8.tflite").predictor()(IMAGES)
    assert logits.dtype == np.float32
    assert np.abs(logits - model(IMAGES)).max() < 0.1 * np.abs(model(IMAGES)).max()


@pytest.mark.parametrize("batch, sizes", [(None, [1, 2, 2]), (2, [2, 2, 2])])
def test_interpreters_share_the_images_of_a_file_of_16_bits(model, tmp_path, monkeypatch, batch, sizes):
    """LiteRT runs its kernels in one thread each."""
    invoked = []

    class Recorded(interpreter.Interpreter):
        def invoke(self):
            invoked.append((id(self), int(self.get_input_details()[0]["shape"][0])))
            super().invoke()

    (tmp_path / "int16.tflite").write_bytes(tflite.convert(model, "int16x8", IMAGES, fixed_batch=batch))
    alone = targets.TFLiteTarget(tmp_path / "int16.tflite", threads=1)
    monkeypatch.setattr(interpreter, "Interpreter", Recorded)
    shared = targets.TFLiteTarget(tmp_path / "int16.tflite", threads=3)
    np.testing.assert_array_equal(shared.logits(IMAGES), alone.logits(IMAGES))
    np.testing.assert_array_equal(shared.logits(IMAGES[3:4]), alone.logits(IMAGES)[3:4])
    own, rows = zip(*invoked[:3])
    assert sorted(rows) == sizes and len(set(own)) == 3 and len(invoked) == 4


def labels_of(model):
    return targets.FunctionTarget(lambda images: model(images).numpy().argmax(axis=1), "decision-based", 10, "labels")


def test_a_target_allows_attacks_that_need_no_more_access_than_it_has(model, folder):
    given = [targets.KerasTarget(model), targets.load(folder / "model.tflite"), labels_of(model)]
    needed = [attacks.parse(text) for text in ("pgd(linf(0.1))", "square(linf(0.1))", "boundary()")]
    allowed = [[target.allows(attack) for attack in needed] for target in given]
    assert allowed == [[True, True, True], [False, True, True], [False, False, True]]


def test_an_attack_that_is_not_allowed_is_refused_with_what_to_do(model):
    with pytest.raises(
        InputError, match=r"needs white-box access.*labels allows decision-based.*WithSurrogate.*--source"
    ):
        labels_of(model).attacked_by(attacks.parse("pgd(linf(0.1))"))


def test_a_surrogate_takes_the_attacks_that_the_target_does_not_allow(model):
    target = targets.WithSurrogate(labels_of(model), model)
    assert str(target.access) == "decision-based" and target.name == "labels"
    assert target.attacked_by(attacks.parse("pgd(linf(0.1))")) is target.surrogate
    assert target.attacked_by(attacks.parse("boundary()")) is target.target
    np.testing.assert_array_equal(target.predictor()(IMAGES), np.argmax(model(IMAGES), axis=1))
    np.testing.assert_array_equal(target.origin, np.float32(0.3))  # the surrogate's: a function does not say its own


def test_surrogates_may_have_surrogates(model):
    inner = targets.WithSurrogate(targets.FunctionTarget(lambda images: model(images).numpy()), model)
    target = targets.WithSurrogate(labels_of(model), inner)
    assert target.attacked_by(attacks.parse("square(linf(0.1))")) is inner.target
    assert target.attacked_by(attacks.parse("pgd(linf(0.1))")) is inner.surrogate


def test_other_image_sizes_are_refused(model):
    with pytest.raises(InputError, match=r"\(28, 28, 1\).*\(32, 32, 3\)"):
        targets.KerasTarget(model).check(classifiers.random_images(1, (32, 32, 3)))


@pytest.mark.parametrize("name", ["model.keras", "model.tflite"])
@pytest.mark.parametrize("kept", [0, 100, 0.5])
def test_truncated_files_are_refused(folder, tmp_path, name, kept):
    contents = (folder / name).read_bytes()
    (tmp_path / name).write_bytes(contents[: int(kept * len(contents)) if kept < 1 else kept])
    with pytest.raises(InputError, match="not a readable") as raised:
        targets.load(tmp_path / name)
    assert "\n" not in str(raised.value)


def test_a_keras_model_of_something_else_is_refused(tmp_path):
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(tmp_path / "vectors.keras")
    with pytest.raises(InputError, match="does not take images"):
        targets.load(tmp_path / "vectors.keras")


@pytest.mark.parametrize(
    "name", ["nothing.keras", "nothing.tflite", "nothing", "http://localhost:8501/v1/models/lenet"]
)
def test_what_is_not_there_is_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"nothing|localhost"):
        targets.load(name if ":" in name else tmp_path / name)


def test_a_tflite_file_that_needs_tensorflows_operations_is_refused(tmp_path):
    def count(x):
        return x[:, 0, :, 0] * tf.math.bincount(tf.cast(x, tf.int32), minlength=4, maxlength=4, dtype=tf.float32)

    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Lambda(count)])
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    (tmp_path / "flex.tflite").write_bytes(converter.convert())
    with pytest.raises(InputError, match="FlexDenseBincount"):
        targets.load(tmp_path / "flex.tflite")


@pytest.mark.parametrize(
    "logits, said",
    [
        (np.full([3, 4], 0.25), "probabilities"),
        (np.eye(3), "probabilities"),
        (np.array([[0.0, np.nan]]), "NaN"),
        (np.zeros([3, 1]), "two classes"),
        (np.zeros([3]), "two classes"),
    ],
)
def test_outputs_that_are_no_logits_are_refused(logits, said):
    with pytest.raises(InputError, match=said):
        targets.check_logits(logits, "the model")


def test_logits_between_0_and_1_are_no_probabilities():
    targets.check_logits(np.array([[0.2, 0.3], [0.9, 0.4]]), "the model")


def test_a_python_function_gives_scores_or_labels():
    def brightness(images):
        mean = images.mean(axis=(1, 2, 3))
        return np.stack([1 - mean, mean], axis=1)

    images = np.stack([np.full([4, 4, 1], 0.25), np.full([4, 4, 1], 0.75)]).astype("float32")
    scores = targets.as_target(brightness)
    labels = targets.FunctionTarget(
        lambda images: brightness(images).argmax(axis=1), access="decision-based", classes=2
    )
    np.testing.assert_allclose(scores.predictor()(images), [[0.75, 0.25], [0.25, 0.75]])
    np.testing.assert_array_equal(labels.predictor()(images), [0, 1])
    assert (scores.access, scores.name) == (attacks.Access.SCORE_BASED, "brightness")


@pytest.mark.parametrize("access", ["white-box", "labels"])
def test_a_python_function_has_no_gradients(access):
    with pytest.raises(InputError, match="allows score-based or decision-based"):
        targets.FunctionTarget(np.mean, access=access)


def test_labels_are_checked_where_their_number_is_known():
    target = targets.FunctionTarget(lambda images: [7] * len(images), access="decision-based", classes=2)
    with pytest.raises(InputError, match="gives the label 7, but has 2 classes"):
        target.logits(IMAGES)


def test_a_function_that_does_not_answer_each_image_is_refused():
    target = targets.FunctionTarget(lambda images: [0], access="decision-based", classes=2)
    with pytest.raises(InputError, match="one label for each of 5 images"):
        target.logits(IMAGES)


def test_what_is_neither_model_path_nor_function_is_refused():
    with pytest.raises(InputError, match="expected a target, a path, a Keras model or a function"):
        targets.as_target(5)
