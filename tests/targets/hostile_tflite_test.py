"""TFLite files in which nothing is wrong that reading them shows: only running them does, in a process of its own."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support.tampering import rewritten
from tfrobust import InputError, targets
from tfrobust.targets import tflite_checks, trial
from tfrobust.targets.tflite_reader import read

IMAGES = np.random.default_rng(0).random([2, 8, 8, 1], "float32")
WEIGHTS = np.random.default_rng(1).normal(size=[64, 3]).astype("float32")


def logits(images):
    return tf.reshape(images, [-1, 64]) @ WEIGHTS


def converted(path, function):
    module = tf.Module()
    module.answer = tf.function(function, input_signature=[tf.TensorSpec([None, 8, 8, 1], tf.float32)])
    graph = module.answer.get_concrete_function()
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([graph], module).convert())
    return path


def test_sizes_that_are_computed_are_not_given_all_of_the_memory(tmp_path):
    def with_ones(count):
        def function(images):
            ones = tf.fill(tf.stack([tf.shape(images)[0] * count, count, 10]), 1.0)
            return logits(images) * tf.reduce_mean(ones)

        return function

    small = targets.TFLiteTarget(converted(tmp_path / "small.tflite", with_ones(2)))
    np.testing.assert_allclose(small.logits(IMAGES), logits(IMAGES), rtol=1e-5)
    huge = converted(tmp_path / "huge.tflite", with_ones(200_000))  # 1.6 TB
    read(huge)
    with pytest.raises(InputError, match=r"huge.tflite cannot be run: .*FILL"):
        targets.TFLiteTarget(huge)


def test_a_loop_that_does_not_end_is_noticed(tmp_path, monkeypatch):
    def turned(limit):
        def function(images):
            (turns,) = tf.while_loop(
                lambda turns: turns < limit, lambda turns: [turns + 1 - limit // 9], [tf.constant(0)]
            )
            return logits(images) * tf.cast(turns, tf.float32)

        return function

    ends = targets.TFLiteTarget(converted(tmp_path / "ends.tflite", turned(3)))
    np.testing.assert_allclose(ends.logits(IMAGES), 3 * logits(IMAGES), rtol=1e-5)
    monkeypatch.setattr(trial, "_SECONDS", 3)
    with pytest.raises(InputError, match="is not run: it did not answer about one image within 3 s"):
        targets.TFLiteTarget(converted(tmp_path / "endless.tflite", turned(9)))


def test_what_no_check_has_seen_does_not_end_this_process(tmp_path, monkeypatch):
    """The interpreter reads weights that are not there: it ends the process or says so, by what lies in that place."""
    monkeypatch.setattr(tflite_checks, "refuse", lambda file: None)

    def misdirect(model):
        model.subgraphs[0].operators[-1].inputs[1] = -1

    whole = converted(tmp_path / "whole.tflite", logits)
    path = rewritten(whole, tmp_path / "misdirected.tflite", misdirect)
    with pytest.raises(InputError, match=r"misdirected.tflite (is not run: it ends the process|cannot be run)"):
        targets.TFLiteTarget(path)


def test_a_signal_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "_TFLITE_QUESTION", "import os\nos.abort()")
    with pytest.raises(InputError, match=r"one.tflite is not run: it ends the process that runs it, by signal 6"):
        targets.TFLiteTarget(converted(tmp_path / "one.tflite", lambda images: logits(images) - 1))


def test_a_file_is_tried_once_for_each_set_of_kernels(tmp_path, monkeypatch):
    run, tried = trial._run, []
    monkeypatch.setattr(trial, "_run", lambda *arguments: tried.append(arguments) or run(*arguments))
    path = converted(tmp_path / "one.tflite", lambda images: logits(images) + 1)
    for xnnpack in (True, False, True):
        targets.TFLiteTarget(path, xnnpack=xnnpack)
    assert len(tried) == 2
    converted(path, lambda images: logits(images) + 2)
    targets.TFLiteTarget(path)
    assert len(tried) == 3
