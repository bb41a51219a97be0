"""Class gradients one after the other: unrolled or in a loop, the same; and a bound on the memory of many classes."""

import os
import subprocess
import sys

import pytest
import tensorflow as tf

from tfrobust.attacks.gradient import classes


@pytest.mark.parametrize("count", [1, 10, 11, 200])
def test_folds_in_order(count):
    def fold():
        return classes.fold(lambda i, s: (2 * s[0] + tf.cast(i, tf.int64), s[1] + 1), start, count)

    start = (tf.constant(1, tf.int64), tf.constant(0))
    expected = 1
    for index in range(count):
        expected = 2 * expected + index
    wrapped = (expected + 2**63) % 2**64 - 2**63
    for found in (fold(), tf.function(fold)()):
        assert (int(found[0]), int(found[1])) == (wrapped, count)


def test_a_gradient_waits_for_the_one_before():
    """Also of a few, which are unrolled: side by side, DeepFool's nine would take the memory of all nine."""
    waits = []

    def add(index, total):
        waits.append(total.op in index.op.control_inputs)
        return total + tf.cast(index, tf.float32)

    tf.function(lambda start: classes.fold(add, start, 9)).get_concrete_function(tf.constant(0.0))
    assert waits == [True] * 9


PROBE = """
import resource
import numpy as np, tensorflow as tf
from tfrobust import attacks
rng = np.random.default_rng(0)
first, last = (tf.constant(rng.normal(size=shape), tf.float32) for shape in ([3, 512], [512, 200]))
def logits_fn(x):
    return tf.reduce_mean(tf.tanh(x @ first), axis=[1, 2]) @ last
images = rng.random([16, 32, 32, 3], "float32")
labels = tf.argmax(logits_fn(images), axis=1)
attack = attacks.parse("fab(linf, steps=1)")
run = tf.function(lambda: attack(logits_fn, images, labels, seed=0), autograph=False).get_concrete_function()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
run()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_the_gradients_of_200_classes_are_not_all_alive():
    """In one thread, FAB took 175 MiB when its classes were unrolled, and 31 one after the other."""
    threads = {f"TF_NUM_{kind}_THREADS": "1" for kind in ("INTEROP", "INTRAOP")}
    command = [sys.executable, "-c", PROBE]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **threads})
    assert int(done.stdout) < 90
