"""Every usual form of images and labels is the same two arrays, or is refused in one line."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import InputError, data, evaluate, evaluation

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype="uint8")
FLOATS = PIXELS.astype("float32") / np.float32(255)
LABELS = np.array([0, 3, 1, 2, 3, 0])
ONE_HOT = np.eye(4, dtype="float32")[LABELS]


def slices(images=PIXELS, labels=LABELS):
    return tf.data.Dataset.from_tensor_slices((images, labels))


class Batches(keras.utils.PyDataset):
    """Keras' own kind of data set."""

    def __len__(self):
        return 2

    def __getitem__(self, place):
        return FLOATS[3 * place : 3 * place + 3], ONE_HOT[3 * place : 3 * place + 3]


def pairs():
    yield from zip(PIXELS, LABELS)


FORMS = {
    "uint8": lambda: (PIXELS, LABELS),
    "float32": lambda: (FLOATS, LABELS),
    "float64": lambda: (PIXELS / 255, LABELS),
    "other integers": lambda: (PIXELS.astype("int32"), LABELS.astype("uint8")),
    "tensors": lambda: (tf.constant(FLOATS), tf.constant(LABELS)),
    "lists": lambda: (FLOATS.tolist(), LABELS.tolist()),
    "lists of whole numbers": lambda: (PIXELS.tolist(), LABELS.tolist()),
    "a list of images": lambda: ([*PIXELS], [*LABELS]),
    "a column of labels": lambda: (PIXELS, LABELS[:, np.newaxis].astype("uint8")),
    "whole floats": lambda: (PIXELS, LABELS[:, np.newaxis].astype("float32")),
    "one-hot labels": lambda: (FLOATS, ONE_HOT),
    "one-hot labels, whole numbers": lambda: (FLOATS, tf.one_hot(LABELS, 4, dtype=tf.int32)),
    "a split": lambda: (data.Split(PIXELS, LABELS, 4), None),
    "tf.data": lambda: (slices(), None),
    "tf.data in batches": lambda: (slices().batch(4), None),
    "tf.data in batches of one": lambda: (slices(FLOATS).batch(1), None),
    "tf.data of floats and columns": lambda: (slices(FLOATS, LABELS[:, None]), None),
    "tf.data of one-hot labels": lambda: (slices(PIXELS, ONE_HOT).batch(4), None),
    "tf.data, single one-hot labels": lambda: (slices(PIXELS, ONE_HOT), None),
    "tf.data with weights": lambda: (slices().map(lambda image, label: (image, label, 1.0)), None),
    "tf.data of dicts": lambda: (slices().map(lambda image, label: {"label": label, "image": image, "id": 0}), None),
    "tf.data of unknown shape": lambda: (
        tf.data.Dataset.from_generator(pairs, output_types=(tf.uint8, tf.int64)),
        None,
    ),
    "Keras' data set": lambda: (Batches(), None),
    "a generator": lambda: (pairs(), None),
    "NumPy batches of TensorFlow's": lambda: (slices().batch(4).as_numpy_iterator(), None),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_images_and_labels(form):
    images, labels = data.arrays(*FORMS[form]())
    assert images.dtype in (np.uint8, np.float32) and labels.dtype == np.int64
    np.testing.assert_array_equal(data.floats(images), FLOATS)
    np.testing.assert_array_equal(labels, LABELS)


def test_gray_images_get_their_channel_where_the_model_has_one():
    images, _ = data.arrays(PIXELS[..., 0], LABELS, channels=1)
    np.testing.assert_array_equal(images, PIXELS[..., :1])
    with pytest.raises(InputError, match="channel of gray images"):
        data.arrays(PIXELS[..., 0], LABELS, channels=3)


def test_a_pipeline_that_shuffles_is_read_once():
    """A second pass would pair an image with another's label."""
    shuffled = slices(PIXELS, np.arange(6)).shuffle(6, seed=1)
    images, labels = data.arrays(shuffled)
    assert sorted(labels) == list(range(6))
    np.testing.assert_array_equal(images, PIXELS[labels])


def test_whole_numbers_stay_in_eight_bits_and_floats_come_in_parts():
    images, labels = data.arrays(PIXELS.astype("int64"), LABELS)
    split = data.Split(images, labels, 4)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(split.floats(slice(2, 4)), FLOATS[2:4])
    np.testing.assert_array_equal(split.floats([5, 0]), FLOATS[[5, 0]])


@pytest.mark.parametrize("bounds", [(0, 255), (-1, 1), (-2.5, 2.5)])
def test_images_on_a_models_own_scale_come_out_on_ours(bounds):
    low, high = bounds
    for images in (FLOATS * np.float32(high - low) + np.float32(low), FLOATS, PIXELS):
        found, _ = data.arrays(images, LABELS, bounds=bounds)
        np.testing.assert_allclose(data.floats(found), FLOATS, atol=1e-6)
    with pytest.raises(InputError, match=r"\[0, 1\] or the bounds \["):
        data.arrays(FLOATS * 600, LABELS, bounds=bounds)


def with_nan(images):
    images = images.copy()
    images[2, 0, 0, 0] = np.nan
    return images


def fails():
    yield from zip(PIXELS[:2], LABELS)
    raise KeyError("no such picture")


WRONG = {
    "no labels": (lambda: (PIXELS, None), "labels are missing"),
    "lists without labels": (lambda: (PIXELS.tolist(), None), "labels are missing"),
    "labels beside a data set": (lambda: (slices(), LABELS), "labels=None"),
    "no images": (lambda: (None, LABELS), "images are missing"),
    "one label too few": (lambda: (PIXELS, LABELS[:-1]), "lengths differ: 6 images, 5 labels"),
    "one-hot, one too few": (lambda: (PIXELS, ONE_HOT[:-1]), "lengths differ: 6 images, 5 labels"),
    "too few of floats in 0-255": (lambda: (FLOATS * 255, LABELS[:-1]), "lengths differ"),
    "NaN": (lambda: (with_nan(FLOATS), LABELS), "NaN.*image 2"),
    "NaN among pixels": (lambda: (with_nan(FLOATS * 255), LABELS), "NaN.*image 2"),
    "0-255": (lambda: (PIXELS.astype("float32"), LABELS), r"images / 255.*bounds=\(0, 255\)"),
    "-1 to 1": (lambda: (FLOATS * 2 - 1, LABELS), r"\(images \+ 1\) / 2.*bounds=\(-1, 1\)"),
    "standardized": (lambda: ((FLOATS - 0.5) / 0.2, LABELS), "first layer"),
    "overshoot": (lambda: (FLOATS * 1.1 - 0.05, LABELS), "np.clip"),
    "channels first": (lambda: (np.zeros((6, 3, 32, 32), "float32"), LABELS), "channels-first.*transpose"),
    "gray, channels first": (lambda: (np.zeros((6, 1, 28, 28), "uint8"), LABELS), "channels-first"),
    "gray without channel": (lambda: (PIXELS[..., 0], LABELS), r"\[batch, .*\.\.\., np\.newaxis"),
    "one image": (lambda: (PIXELS[0], LABELS[:5]), r"images\[np\.newaxis\]"),
    "wide integers": (lambda: (PIXELS.astype("uint16") * 257, LABELS), "0 to 255.*uint16"),
    "zeros and ones": (lambda: ((PIXELS > 99).astype("uint8"), LABELS), "0 and 1 only"),
    "booleans": (lambda: (PIXELS > 99, LABELS), "bool"),
    "text": (lambda: (PIXELS.astype(str), LABELS), "images must be uint8 or floats"),
    "sizes that differ": (lambda: ([PIXELS[0], PIXELS[0, :3]], [0, 1]), "differ in shape"),
    "names as labels": (lambda: (PIXELS, ["cat"] * 6), "labels must be integers"),
    "floats as labels": (lambda: (PIXELS, LABELS / 2), "labels must be integers.*astype"),
    "soft labels": (lambda: (PIXELS, ONE_HOT * 0.9 + 0.025), "one-hot.*row 0.*argmax"),
    "several labels": (lambda: (PIXELS, [[1, 0, 1]] * 6), "one-hot"),
    "no label": (lambda: (PIXELS, LABELS - 1), "at least 0.*image 0"),
    "an endless data set": (lambda: (slices().repeat(), None), "no end.*take"),
    "a data set of images": (lambda: (tf.data.Dataset.from_tensor_slices(PIXELS), None), "no labels"),
    "a data set of other names": (lambda: (slices().map(lambda a, b: {"a": a, "b": b}), None), r"\['a', 'b'\]"),
    "an empty data set": (lambda: (slices().take(0), None), "empty"),
    "a data set that fails": (lambda: (fails(), None), "fails after 2 elements.*no such picture"),
    "a data set of several sizes": (lambda: (iter([(PIXELS[0], 0), (PIXELS[0, :3], 1)]), None), "differ in size"),
    "a data set without channels": (lambda: (slices(PIXELS[..., 0]).batch(3), None), r"\[batch, .*np\.newaxis"),
    "a data set of data sets": (lambda: (slices().window(2), None), "the data set fails.*not supported"),
    "a pair": (lambda: ((PIXELS, LABELS), None), "labels are missing"),
    "something else": (lambda: (object(), LABELS), "images must be an array"),
    "a number": (lambda: (7, None), "labels are missing"),
}


@pytest.mark.parametrize("case", WRONG)
def test_the_line_names_the_cause_and_what_to_do(case):
    given, said = WRONG[case]
    with pytest.raises(InputError, match=said) as refusal:
        data.arrays(*given())
    assert "\n" not in str(refusal.value)


@pytest.fixture(scope="module")
def network():
    return classifiers.smooth_network((5, 4, 3))


def test_evaluate_takes_any_form_and_a_single_attack(network, tmp_path):
    expected = evaluate(network, FLOATS, LABELS, ["fgsm(linf(0.02))"], progress=False).report
    np.savez(tmp_path / "own.npz", x_test=PIXELS, y_test=LABELS)
    for images, labels in (
        *(FORMS[form]() for form in ("uint8", "one-hot labels", "tf.data")),
        (tmp_path / "own.npz", None),
    ):
        found = evaluate(network, images, labels, "fgsm(linf(0.02))", progress=False).report
        assert found["clean_accuracy"] == expected["clean_accuracy"]
        assert {**found["attacks"][0], "seconds": 0} == {**expected["attacks"][0], "seconds": 0}


def test_transfer_takes_any_form_and_a_single_attack(network):
    expected, found = (
        evaluation.evaluate_transfer([network], [network], attacks, images, labels, progress=False).report
        for attacks, images, labels in ((["fgsm(linf(0.02))"], FLOATS, LABELS), ("fgsm(linf(0.02))", slices(), None))
    )
    assert found["defense_rates"] == expected["defense_rates"]


def test_what_is_no_attack_is_refused(network):
    for wrong in (7, None, [7]):
        with pytest.raises(InputError, match="expected an attack or its text"):
            evaluate(network, FLOATS, LABELS, wrong)
