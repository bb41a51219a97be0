"""SavedModels that would do something else than answer, and that raise where they are asked."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.support import programs
from tfrobust import InputError, evaluate, targets
from tfrobust.targets import trial

IMAGES = np.random.default_rng(0).random((6, 4, 4, 1), "float32")
SPEC = [tf.TensorSpec([None, 4, 4, 1], tf.float32, name="image")]


def logits(images):
    return tf.reduce_sum(images, axis=[1, 2]) * tf.constant([[1.0, -1.0, 0.5]])


def saved(folder, function, **attributes):
    module = tf.Module()
    for name, value in attributes.items():
        setattr(module, name, value)
    module.answer = tf.function(function, input_signature=SPEC)
    tf.saved_model.save(module, str(folder), {"serving_default": module.answer})
    return folder


def writes(path):
    """Writes a file and answers."""

    def function(image):
        with tf.control_dependencies([tf.io.write_file(str(path), "owned")]):
            return {"logits": logits(image)}

    return function


def reads(path):
    def function(image):
        return {"logits": logits(image) + tf.cast(tf.strings.length(tf.io.read_file(str(path))), tf.float32)}

    return function


def hidden(path):
    """In a loop, in a function in a function, whose result nobody uses."""

    @tf.function
    def inner(number):
        tf.io.write_file(str(path), tf.strings.as_string(number))
        return number + 1

    def function(image):
        tf.while_loop(lambda number: number < 2, lambda number: [inner(number)], [tf.constant(0)])
        return {"logits": logits(image)}

    return function


@pytest.mark.parametrize("make, operation", [(writes, "WriteFile"), (reads, "ReadFile"), (hidden, "WriteFile")])
def test_operations_on_files_are_named_and_nothing_runs(tmp_path, make, operation):
    path = tmp_path / "owned"
    folder = saved(tmp_path / "model", make(path))
    path.unlink(missing_ok=True)
    with pytest.raises(InputError, match=rf"model is not run: its answer would use {operation}, which read or write"):
        targets.load(folder)
    assert not path.exists()


def test_what_would_run_on_loading_is_found_too(tmp_path):
    class Table(tf.lookup.StaticHashTable):
        """A table whose initializer writes a file."""

        def _initialize(self):
            tf.io.write_file(str(tmp_path / "owned"), "owned")
            return super()._initialize()

    names = tf.lookup.KeyValueTensorInitializer([0, 1], ["a", "b"], tf.int32, tf.string)
    table = Table(names, "")
    folder = saved(
        tmp_path / "model", lambda image: {"logits": logits(image), "name": table.lookup(tf.constant([0]))}, table=table
    )
    (tmp_path / "owned").unlink(missing_ok=True)
    with pytest.raises(InputError, match="loading it would use WriteFile"):
        targets.load(folder)
    assert not (tmp_path / "owned").exists()


def with_table(folder, path):
    """A model with a table that is read from a text file."""
    lines = tf.lookup.TextFileIndex
    names = tf.lookup.TextFileInitializer(str(path), tf.int64, lines.LINE_NUMBER, tf.string, lines.WHOLE_LINE)
    table = tf.lookup.StaticHashTable(names, "")

    def answer(image):
        return {"logits": logits(image), "name": table.lookup(tf.constant([0], tf.int64))}

    return saved(folder, answer, table=table)


def test_an_asset_elsewhere_is_not_read(tmp_path):
    (tmp_path / "names.txt").write_text("a\nb\n")
    folder = with_table(tmp_path / "model", tmp_path / "names.txt")
    np.testing.assert_allclose(targets.load(folder).predictor()(IMAGES), logits(IMAGES))
    for filename in ("../../names.txt", str(tmp_path / "names.txt")):
        contents = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        contents.meta_graphs[0].asset_file_def[0].filename = filename
        (folder / "saved_model.pb").write_bytes(contents.SerializeToString())
        with pytest.raises(InputError, match=r"loading it would read .*names\.txt outside of its assets"):
            targets.load(folder)


def test_damaged_files_are_refused_or_answer(tmp_path):
    """20 places at which a file ends, or holds something else; none ends the process."""
    module = tf.Module()
    module.scale = tf.Variable(np.full([3], 2.0, "float32"))
    module.answer = tf.function(lambda image: {"logits": module.scale * logits(image)}, input_signature=SPEC)
    tf.saved_model.save(module, str(tmp_path / "model"), {"serving_default": module.answer})
    names = ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001")
    whole = {name: (tmp_path / "model" / name).read_bytes() for name in names}
    random, refused = np.random.default_rng(0), 0
    for number in range(20):
        name = names[number % 3]
        contents = bytearray(whole[name])
        place = int(random.integers(len(contents)))
        contents[place:] = contents[place + 1 :] if number % 2 else b""
        (tmp_path / "model" / name).write_bytes(contents)
        try:
            assert targets.load(tmp_path / "model").predictor()(IMAGES).shape == (6, 3)
        except InputError:
            refused += 1
        (tmp_path / "model" / name).write_bytes(whole[name])
    assert refused >= 15


def test_a_constant_of_two_types_is_refused(tmp_path):
    """TensorFlow would end the process, in the graph's optimizer or as it infers shapes."""
    folder = saved(tmp_path / "model", lambda image: {"logits": logits(image)})
    contents = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    functions = contents.meta_graphs[0].graph_def.library.function
    constants = [node for function in functions for node in function.node_def if node.op == "Const"]
    constant = next(node for node in constants if node.attr["dtype"].type == tf.float32.as_datatype_enum)
    constant.attr["value"].tensor.dtype = tf.int32.as_datatype_enum
    (folder / "saved_model.pb").write_bytes(contents.SerializeToString())
    with pytest.raises(InputError, match=f"not a readable SavedModel: its constant {constant.name} is of two types"):
        targets.load(folder)


def test_what_a_saver_holds_and_another_signature_reaches_is_no_reason(tmp_path):
    module = tf.Module()
    module.scale = tf.Variable(2.0)
    module.answer = tf.function(lambda image: {"logits": module.scale * logits(image)}, input_signature=SPEC)
    module.write = tf.function(writes(tmp_path / "owned"), input_signature=SPEC)
    signatures = {"serving_default": module.answer, "write": module.write}
    tf.saved_model.save(module, str(tmp_path / "model"), signatures)
    np.testing.assert_allclose(targets.load(tmp_path / "model").predictor()(IMAGES), 2 * logits(IMAGES), rtol=1e-5)
    with pytest.raises(InputError, match="WriteFile"):
        targets.load(tmp_path / "model", signature="write")


def test_a_loop_that_does_not_end_is_noticed(tmp_path, monkeypatch):
    def endless(image):
        (count,) = tf.while_loop(lambda count: count >= 0, lambda count: [count * 0], [tf.constant(0)])
        return {"logits": logits(image) + tf.cast(count, tf.float32)}

    def ends(image):
        (found,) = tf.while_loop(lambda *_: True, lambda x: [x * 2], [logits(image)], maximum_iterations=3)
        return {"logits": found}

    with monkeypatch.context() as shorter:
        shorter.setattr(trial, "_SECONDS", 8)
        with pytest.raises(InputError, match="is not run: it did not answer about one image within 8 s"):
            targets.load(saved(tmp_path / "endless", endless))
    np.testing.assert_allclose(targets.load(saved(tmp_path / "ends", ends)).predictor()(IMAGES), 8 * logits(IMAGES))


def raises(image):
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_max(image) > 2, ["never true"])]):
        return {"logits": logits(image)}


def raises_beyond(image):
    """On images that an attack makes."""
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_max(image) <= IMAGES.max() + 1e-6, ["too bright"])]):
        return {"logits": logits(image)}


def test_a_graph_that_raises_ends_in_one_line(tmp_path):
    folder = saved(tmp_path / "model", raises)
    images = tmp_path / "images.npz"
    np.savez(images, images=IMAGES, labels=[0] * 6)
    process = programs.run("trainers.evaluate", f"--model={folder}", f"--dataset={images}", "--attack=fgsm(linf(0.1))")
    assert process.returncode == 2 and "Traceback" not in process.stderr
    (line,) = programs.errors(process)
    assert "model cannot be run: assertion failed: [never true]" in line


def test_a_graph_that_raises_under_attack_ends_in_one_line(tmp_path):
    target = targets.load(saved(tmp_path / "model", raises_beyond))
    with pytest.raises(
        InputError, match=r"model cannot be attacked by pgd\(linf\(0.3\), steps=3\): assertion failed: \[too bright"
    ):
        evaluate(target, IMAGES, np.argmax(logits(IMAGES), axis=1), ["pgd(linf(0.3), steps=3)"], progress=False)
