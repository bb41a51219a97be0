"""Models that users bring: each gives its owner's numbers, or is refused in one line that says what to do."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tests.support import foreign
from tfrobust import InputError
from tfrobust.targets import FunctionTarget, KerasTarget, SavedModelTarget, TFLiteTarget

layers = keras.layers
_, (PIXELS, LABELS) = foreign.data()
UNIT = PIXELS.astype("float32") / np.float32(255)
RADIUS = 0.1
FGSM = f"fgsm(linf({RADIUS}))"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("foreign")


def nested(folder):
    inputs = keras.Input(foreign.SHAPE)
    base = foreign.sequential(last="softmax")
    return KerasTarget(
        keras.Model(inputs, base(keras.applications.mobilenet_v2.preprocess_input(inputs) / 2 + 0.5)), bounds="0,255"
    )


def two_outputs(form, **kwargs):
    inputs = keras.Input(foreign.SHAPE, name="image")
    flatten, hidden, scores = foreign.built_stack()
    features = hidden(flatten(inputs))
    return KerasTarget(keras.Model(inputs, form(features, scores(features))), **kwargs)


def of_dictionaries(folder):
    inputs = keras.Input(foreign.SHAPE, name="image")
    flatten, hidden, scores = foreign.built_stack()
    features = hidden(flatten(inputs))
    return keras.Model({"image": inputs}, {"features": features, "logits": scores(features)})


def mixed_precision(folder):
    policy = keras.mixed_precision.DTypePolicy("mixed_float16")
    return foreign.sequential(dtype=policy, after=[layers.Activation("softmax", dtype="float32")])


def reread(folder, name, network):
    network.save(folder / name)
    return str(folder / name)


def exported(folder):
    foreign.sequential(last="softmax").export(folder / "exported", verbose=False)
    return folder / "exported"


def module(folder):
    of = foreign.Module()
    path = foreign.saved(of, folder / "module", predict=of.predict, other=of.of_pixels)
    return SavedModelTarget(path, bounds=(0, 255), signature="predict", output_name="scores")


def unsigned(folder):
    return SavedModelTarget(
        foreign.saved(foreign.Module(), folder / "unsigned"), bounds=(0, 255), signature="predict", output_name="scores"
    )


RESCALING = layers.Rescaling(1 / 255)

# name: how the model comes, the images, what the report calls its answers
WHITE_BOX = {
    "functional": (lambda folder: foreign.sequential(), UNIT, "logits"),
    "softmax of the last layer": (lambda folder: foreign.sequential(last="softmax"), UNIT, "logits"),
    "softmax layer": (
        lambda folder: foreign.sequential(after=[layers.Softmax(), layers.Reshape((10,))]),
        UNIT,
        "logits",
    ),
    "unbuilt": (lambda folder: keras.Sequential(foreign.built_stack("softmax")), UNIT, "logits"),
    "unbuilt, subclassed": (
        lambda folder: KerasTarget(foreign.Subclassed(foreign.built_stack()), bounds=(0, 255)),
        PIXELS,
        "logits",
    ),
    "rescaling, pixels": (lambda folder: KerasTarget(foreign.sequential(RESCALING), bounds=(0, 255)), PIXELS, "logits"),
    "rescaling, float pixels": (
        lambda folder: KerasTarget(foreign.sequential(RESCALING), bounds=(0, 255)),
        PIXELS.astype("float32"),
        "logits",
    ),
    "rescaling, [0, 1]": (lambda folder: KerasTarget(foreign.sequential(RESCALING), bounds=(0, 255)), UNIT, "logits"),
    "enlarged and rescaled": (lambda folder: foreign.sequential(layers.Rescaling(255.0), RESCALING), UNIT, "logits"),
    "centered": (
        lambda folder: KerasTarget(foreign.sequential(layers.Rescaling(0.5, 0.5)), bounds=(-1, 1)),
        UNIT * 2 - 1,
        "logits",
    ),
    "nested with preprocessing": (nested, PIXELS, "logits"),
    "no channel": (lambda folder: foreign.sequential(shape=(8, 8)), UNIT, "logits"),
    "dictionaries": (of_dictionaries, UNIT, "logits"),
    "output_name": (
        lambda folder: two_outputs(lambda *both: {"a": both[0], "b": both[1]}, output_name="b"),
        UNIT,
        "logits",
    ),
    "list of outputs": (lambda folder: two_outputs(lambda *both: list(both), output_name="output_1"), UNIT, "logits"),
    "mixed precision": (mixed_precision, UNIT, "logits"),
    "float64": (lambda folder: foreign.sequential(last="softmax", dtype="float64"), UNIT, "logits"),
    ".keras": (lambda folder: reread(folder, "a.keras", foreign.sequential(last="softmax")), UNIT, "logits"),
    ".h5": (lambda folder: reread(folder, "a.h5", foreign.sequential(last="softmax")), UNIT, "logits"),
    "SavedModel": (exported, UNIT, "probabilities"),
    "tf.Module": (module, PIXELS, "probabilities"),
    "tf.Module without signatures": (unsigned, PIXELS, "probabilities"),
}


def of_uint8():
    inputs = outputs = keras.Input(foreign.SHAPE, dtype="uint8")
    for layer in [RESCALING, *foreign.built_stack()]:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs)


def of_batch(size):
    inputs = keras.Input(foreign.SHAPE, batch_size=size)
    outputs = inputs
    for layer in foreign.built_stack():
        outputs = layer(outputs)
    return keras.Model(inputs, outputs)


def saved_of_pixels(folder):
    of = foreign.Module()
    return foreign.saved(of, folder / "pixels", serving_default=of.of_pixels)


def uint8_of_pixels(folder):
    network = foreign.sequential(RESCALING, last="softmax")
    return foreign.tflite(network, folder / "uint8.tflite", PIXELS[:50], tf.uint8)


# name: how the model comes, the images, what the report calls its answers, how far the accuracy may be off
SCORE_BASED = {
    "SavedModel of uint8": (lambda folder: SavedModelTarget(saved_of_pixels(folder)), PIXELS, "logits", 0),
    "uint8 input of Keras": (lambda folder: of_uint8(), PIXELS, "logits", 0),
    "function of pixels": (
        lambda folder: FunctionTarget(lambda images: foreign.Module().scores(images / 255), bounds=(0, 255)),
        *(PIXELS, "logits", 0),
    ),
    "tflite": (
        lambda folder: foreign.tflite(foreign.sequential(last="softmax"), folder / "a.tflite"),
        UNIT,
        "probabilities",
        0,
    ),
    "tflite of one image": (lambda folder: foreign.tflite(of_batch(1), folder / "one.tflite"), UNIT, "logits", 0),
    "tflite of seven images": (lambda folder: foreign.tflite(of_batch(7), folder / "seven.tflite"), UNIT, "logits", 0),
    "tflite, rescaling": (
        lambda folder: TFLiteTarget(
            foreign.tflite(foreign.sequential(RESCALING), folder / "r.tflite"), bounds=(0, 255)
        ),
        *(PIXELS, "logits", 0),
    ),
    "int8 of [0, 1]": (
        lambda folder: foreign.tflite(foreign.sequential(last="softmax"), folder / "int8.tflite", UNIT[:50], tf.int8),
        *(UNIT, "probabilities", 0.02),
    ),
    "uint8 of pixels": (
        lambda folder: TFLiteTarget(uint8_of_pixels(folder), bounds=(0, 255)),
        *(PIXELS, "probabilities", 0.02),
    ),
    "tflite of two outputs": (
        lambda folder: foreign.tflite(of_dictionaries(folder), folder / "two.tflite"),
        *(UNIT, "logits", 0),
    ),
}


def unknown_class(folder):
    class Local(keras.Model):
        def call(self, inputs):
            return inputs[:, 0, :, 0]

    model = Local()
    model(UNIT[:1])
    return reread(folder, "c.keras", model)


def of_caffe():
    inputs = keras.Input((8, 8, 1))
    preprocessed = keras.applications.resnet50.preprocess_input(layers.Concatenate()([inputs] * 3))
    return keras.Model(inputs, layers.Dense(10)(layers.Flatten()(preprocessed)))


def saved_rescaling(folder):
    foreign.sequential(RESCALING).export(folder / "rescaling", verbose=False)
    return folder / "rescaling"


def two_inputs():
    inputs = [keras.Input(foreign.SHAPE), keras.Input((3,))]
    return keras.Model(inputs, layers.Concatenate()([layers.Flatten()(part) for part in inputs]))


def several_signatures(folder):
    of = foreign.Module()
    return foreign.saved(of, folder / "several", predict=of.predict, other=of.of_pixels)


def of_files(folder):
    of = foreign.Module()
    return foreign.saved(of, folder / "files", serving_default=of.of_files)


def weights_only(folder):
    foreign.sequential().save_weights(folder / "a.weights.h5")
    return str(folder / "a.weights.h5")


# name: what cannot be evaluated, and what is said about it
REFUSED = {
    "ten sigmoids": (lambda folder: foreign.sequential(last="sigmoid"), "ends in 10 sigmoids"),
    "ten sigmoids, tflite": (
        lambda folder: foreign.tflite(foreign.sequential(last="sigmoid"), folder / "s.tflite"),
        "ends in 10 sigmoids",
    ),
    "rescaling": (
        lambda folder: foreign.sequential(RESCALING),
        r"multiply by 0.00392.*bounds=\(0, 255\).*--bounds=0,255",
    ),
    "division": (lambda folder: foreign.Subclassed(foreign.built_stack()), r"divide by 255.*bounds=\(0, 255\)"),
    "preprocessing inside": (
        lambda folder: of_caffe(),
        "shift by",
    ),
    "SavedModel, rescaling": (
        saved_rescaling,
        r"on the scale \(0, 255\): give the target bounds",
    ),
    "tflite, rescaling": (
        lambda folder: foreign.tflite(foreign.sequential(RESCALING), folder / "x.tflite"),
        r"multiply by 0.00392.*give the target bounds=\(0, 255\)",
    ),
    "uint8 of pixels": (uint8_of_pixels, r"quantization reaches from 0 to 255.*bounds=\(0, 255\)"),
    "channels first": (lambda folder: keras.Sequential([keras.Input((3, 32, 32)), layers.Flatten()]), "channels-first"),
    "channels-first layer": (
        lambda folder: keras.Sequential([layers.Conv2D(2, 3, data_format="channels_first")]),
        "channels-first",
    ),
    "two inputs": (lambda folder: two_inputs(), "takes 2 inputs"),
    "two outputs": (lambda folder: two_outputs(lambda *both: {"a": both[0], "b": both[1]}), "a, b: name the one"),
    "no such output": (
        lambda folder: two_outputs(lambda *both: {"a": both[0]}, output_name="c"),
        "no output 'c', but a",
    ),
    "vectors": (lambda folder: keras.Sequential([keras.Input((64,)), layers.Dense(10)]), "does not take images"),
    "several signatures": (several_signatures, "the signatures predict, other, of_files, of_pixels: .*--signature"),
    "no such signature": (lambda folder: SavedModelTarget(several_signatures(folder), signature="x"), "no signature x"),
    "files": (of_files, "does not take images.*string"),
    "signature of a file": (
        lambda folder: tfr.targets.load(reread(folder, "b.keras", foreign.sequential()), signature="x"),
        "only a SavedModel has signatures",
    ),
    "weights": (weights_only, "holds weights only"),
    "unknown classes": (unknown_class, "its classes are the user's own"),
    "segmentation": (
        lambda folder: keras.Sequential([keras.Input(foreign.SHAPE), layers.Conv2D(10, 1)]),
        "logits .batch, classes",
    ),
    "another size": (
        lambda folder: keras.Sequential([keras.Input((9, 9, 1)), layers.Flatten()]),
        r"\(9, 9, 1\), got \(8, 8, 1\)",
    ),
    "a layer that fails": (lambda folder: keras.Sequential([layers.Reshape((3, 5))]), "cannot be run on images .*size"),
    "bounds": (lambda folder: KerasTarget(foreign.sequential(), bounds=(255, 0)), "lower one first"),
}


@pytest.mark.parametrize("name", WHITE_BOX)
def test_white_box(name, folder):
    make, images, answers = WHITE_BOX[name]
    report = tfr.evaluate(make(folder), images, LABELS, [FGSM], active_checks=False, batch_size=50).report
    clean, robust = foreign.reference(10, RADIUS)
    assert report["answers"] == answers
    assert abs(report["clean_accuracy"] - clean) <= 1e-9
    assert abs(report["attacks"][0]["robust_accuracy"] - robust) <= 0.005
    assert "SCALE" not in {warning["code"] for warning in report["warnings"]}


@pytest.mark.parametrize("name", SCORE_BASED)
def test_score_based(name, folder):
    make, images, answers, tolerance = SCORE_BASED[name]
    report = tfr.evaluate(make(folder), images, LABELS, [], batch_size=60).report
    clean, _ = foreign.reference(10, RADIUS)
    assert report["answers"] == answers
    assert abs(report["clean_accuracy"] - clean) <= tolerance + 1e-9


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, folder):
    make, said = REFUSED[name]
    with pytest.raises(InputError, match=said) as raised:
        tfr.evaluate(make(folder), UNIT, LABELS, [])
    assert "\n" not in str(raised.value)


def saved_sigmoid(folder):
    foreign.sequential(last="sigmoid", outputs=1).export(folder / "sigmoid", verbose=False)
    return folder / "sigmoid"


BINARY = {
    "sigmoid": (lambda folder: foreign.sequential(last="sigmoid", outputs=1), UNIT, "logits"),
    "sigmoid layer, unbuilt scale": (
        lambda folder: KerasTarget(
            foreign.sequential(RESCALING, outputs=1, after=[layers.Activation("sigmoid")]), bounds=(0, 255)
        ),
        *(PIXELS, "logits"),
    ),
    "one logit": (lambda folder: foreign.sequential(outputs=1), UNIT, "logits"),
    "one probability": (saved_sigmoid, UNIT, "probabilities"),
    "flat": (lambda folder: foreign.sequential(last="sigmoid", outputs=1, after=[layers.Reshape(())]), UNIT, "logits"),
}


@pytest.mark.parametrize("name", BINARY)
def test_one_score_is_two_classes(name, folder):
    make, images, answers = BINARY[name]
    report = tfr.evaluate(make(folder), images, LABELS % 2, [FGSM], active_checks=False).report
    clean, robust = foreign.reference(1, RADIUS)
    assert report["answers"] == answers
    assert abs(report["clean_accuracy"] - clean) <= 1e-9
    assert abs(report["attacks"][0]["robust_accuracy"] - robust) <= 0.005


def test_the_users_model_is_not_changed():
    network = foreign.sequential(last="softmax")
    before = network.get_weights()
    KerasTarget(network).predictor()(UNIT[:5])
    np.testing.assert_allclose(network(UNIT[:5]).numpy().sum(axis=1), 1, atol=1e-5)
    for old, new in zip(before, network.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_accuracy_of_guessing_is_noticed():
    report = tfr.evaluate(foreign.sequential(), UNIT, (LABELS + 1) % 10, [], active_checks=False).report
    assert "SCALE" in {warning["code"] for warning in report["warnings"]}
