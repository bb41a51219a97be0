"""A TFLite file as a differentiable model: what the interpreter computes, and gradients of it."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from export import tflite
from tests.support import litert_networks
from tests.support.litert_networks import IMAGES, MODES
from tfrobust import InputError, data, evaluate, targets
from tfrobust.targets import tflite_operations
from tfrobust.targets.tflite_reader import read

FILES = [("lenet", mode) for mode in MODES] + [
    ("mobile", "float32"),
    ("mobile", "int8"),
    ("resnet", "int8"),
    ("ace", "int8"),
    ("ace", "float16"),
]
every_file = pytest.mark.parametrize("name, mode", FILES)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A function from a network's name and a precision to its file."""
    folder, build = tmp_path_factory.mktemp("files"), functools.cache(litert_networks.build)

    @functools.cache
    def made(name, mode):
        file = folder / f"{name}_{mode}.tflite"
        file.write_bytes(tflite.convert(build(name), mode, IMAGES))
        return file

    return made


def test_every_operation_is_in_a_file(path):
    found = {operation.kind for name, mode in FILES for operation in read(path(name, mode)).operations}
    assert found | {"RELU6", "REDUCE_PROD"} == tflite_operations.KERNELS.keys()


@pytest.fixture(scope="module")
def outputs_of(path):
    """A function to the interpreter's output and the graph's, in the units of the file's output."""

    @functools.cache
    def both(name, mode):
        graph = targets.TFLiteGraph(path(name, mode))
        (index,) = graph.file.outputs
        held = graph.values(tf.constant(IMAGES))[index]
        expected = targets.TFLiteTarget(path(name, mode)).logits(IMAGES)
        return expected, tflite_operations.real(held, graph.file.tensors[index]).numpy()

    return both


def builtin_kernels(path, images):
    """A file, and an interpreter that has run on images by kernels that keep every tensor, which are not XNNPACK's."""
    file = read(path)
    interpreter = Interpreter(
        str(path),
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.resize_tensor_input(file.input, images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(file.input, images)
    interpreter.invoke()
    return file, interpreter


def rms(values):
    return np.sqrt(np.mean(np.square(values)))


@every_file
def test_answers_as_the_interpreter_does(path, outputs_of, name, mode):
    """By XNNPACK's kernels, which it takes by default; or no further from them than the interpreter's builtin ones are."""
    expected, found = outputs_of(name, mode)
    file, builtin = builtin_kernels(path(name, mode), IMAGES)
    held = builtin.get_tensor(file.outputs[0])
    assert rms(found - expected) < max(MODES[mode] * expected.std(), 1.1 * rms(held - expected))


@pytest.mark.parametrize("name, share", [("lenet", 0.99), ("resnet", 0.98)])
def test_most_outputs_are_within_one_quantum(path, outputs_of, name, share):
    expected, found = outputs_of(name, "int8")
    file = read(path(name, "int8"))
    quantum = file.tensors[file.operations[-1].inputs[0]].quantization.scale[0]
    assert (np.abs(found - expected) < 1.01 * quantum).mean() >= share


@every_file
def test_each_operation_gives_the_interpreters_result_on_its_own_inputs(path, name, mode):
    """Within one quantum, or what float32 leaves."""
    if mode == "dynamic":
        pytest.skip("kernels that keep every tensor round float inputs another way")
    file, interpreter = builtin_kernels(path(name, mode), IMAGES[:4])

    def held(index):
        if index < 0 or file.tensors[index].value is not None:
            return None if index < 0 else tflite_operations.constant(file.tensors[index])
        quantization, value = file.tensors[index].quantization, interpreter.get_tensor(index)
        return tf.constant(value if quantization is None else np.float32(value) - np.float32(quantization.zero_point))

    for place, operation in enumerate(file.operations):
        tensors = [None if index < 0 else file.tensors[index] for index in operation.inputs]
        call = tflite_operations.Call(operation, tensors, file.tensors[operation.outputs[0]], batch=1)
        found = tflite_operations.run(call, [held(index) for index in operation.inputs])
        expected, quantized = held(operation.outputs[0]), call.output.quantization is not None
        assert found.shape == expected.shape and found.dtype == expected.dtype
        tolerance = 1.0 if quantized else 2e-5 * max(1.0, np.abs(np.float32(expected)).max())
        difference = np.abs(np.asarray(found, "float64") - np.asarray(expected, "float64"))
        assert difference.max() <= tolerance, (place, operation.kind, difference.max())


def test_gradients_are_those_of_the_network_and_near_them_in_int8(path):
    network = litert_networks.build("lenet")
    weights = tf.random.stateless_normal([len(IMAGES), 5], [0, 1])

    def gradient(function):
        images = tf.constant(IMAGES)
        with tf.GradientTape() as tape:
            tape.watch(images)
            score = tf.reduce_sum(weights * function(images))
        return tape.gradient(score, images).numpy().ravel()

    expected = gradient(network)
    exact, rounded = (gradient(targets.TFLiteGraph(path("lenet", mode)).logits) for mode in ("float32", "int8"))
    np.testing.assert_allclose(exact, expected, atol=1e-5 * np.abs(expected).max())
    assert np.dot(rounded, expected) > 0.9 * np.linalg.norm(rounded) * np.linalg.norm(expected)


def test_of_a_last_softmax_the_logits_are_attacked(path):
    graph = targets.TFLiteGraph(path("mobile", "float32"))
    found = tf.nn.softmax(graph.logits(tf.constant(IMAGES)))
    np.testing.assert_allclose(found, targets.TFLiteTarget(path("mobile", "float32")).logits(IMAGES), atol=1e-5)


@pytest.mark.parametrize("mode", ["float32", "int8"])
def test_a_file_for_one_image_at_a_time_is_a_graph_of_any_batch(mode, tmp_path):
    image = keras.Input((8, 8, 1), batch_size=1)
    network = keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(keras.layers.Conv2D(4, 3)(image))))
    images = IMAGES[:, :8, :8, :1]
    (tmp_path / "one.tflite").write_bytes(tflite.convert(network, mode, images))
    graph, target = (kind(tmp_path / "one.tflite") for kind in (targets.TFLiteGraph, targets.TFLiteTarget))
    np.testing.assert_allclose(
        graph.logits(tf.constant(images)), target.logits(images), atol=2e-2 if mode == "int8" else 1e-6
    )


def test_a_bare_file_is_attacked_through_its_own_graph_and_judged_by_the_interpreter(artifacts):
    """At least as strong as the same attack on the network that it came from, image by image."""
    test, attack = data.load("digits", "test").take(60), ["pgd(linf(0.06), steps=10, random_start=False)"]
    own = evaluate(artifacts.int8, test.floats(), test.labels, attack, active_checks=False, progress=False)
    pair = targets.WithSurrogate(artifacts.int8, artifacts.model)
    transferred = evaluate(pair, test.floats(), test.labels, attack, active_checks=False, progress=False)
    (row,), (other,) = own.report["attacks"], transferred.report["attacks"]
    assert row["source"] is None and row["backward_passes"] == 10 and other["source"] == str(artifacts.model)
    assert 0 < row["robust_accuracy"] <= other["robust_accuracy"] < own.report["clean_accuracy"]
    answers = targets.TFLiteTarget(artifacts.int8).logits(np.asarray(own.outcomes[0].adversarial))
    np.testing.assert_array_equal(answers.argmax(axis=1) != test.labels, own.outcomes[0].broken)
    assert "TRANSFER" not in {warning["code"] for warning in own.report["warnings"]}


def test_an_operation_without_a_gradient_is_refused_by_its_name(tmp_path):
    network = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3, activation="tanh")]
    )
    (tmp_path / "tanh.tflite").write_bytes(tflite.convert(network))
    with pytest.raises(InputError, match=r"no gradient here of TANH; attack it by its scores, or .*--source"):
        targets.TFLiteGraph(tmp_path / "tanh.tflite")
    images = IMAGES[:, :8, :8, :1]
    found = evaluate(
        tmp_path / "tanh.tflite",
        images,
        network(images).numpy().argmax(axis=1),
        ["square(linf(0.1), queries=5)"],
        progress=False,
    )
    assert found.report["attacks"][0]["source"] is None
