"""What a file answers by who runs it."""

import os

import numpy as np

from export import conformance, runtime_drift
from tfrobust import data, targets

TEST = data.load("digits", "test").take(20).floats()


def test_kernels_of_int8_differ_and_those_of_float32_hardly(artifacts):
    int8, float32 = (runtime_drift.measure(targets.load(path), TEST) for path in (artifacts.int8, artifacts.float32))
    assert float32.largest < 1e-4 < int8.largest
    ways = [(one.threads, one.xnnpack, one.batch) for one in int8.settings]
    cores = os.cpu_count()
    assert ways == list(dict.fromkeys([(1, True, 20), (cores, False, 20), (1, False, 20), (cores, True, 1)]))
    own_kernels = conformance.logits_of(targets.load(artifacts.int8).rerun(threads=1, xnnpack=False), TEST)
    expected = np.abs(own_kernels - conformance.logits_of(targets.load(artifacts.int8), TEST)).max()
    assert int8.settings[2].largest == expected


def test_examples_whose_margin_is_smaller_are_decided_by_the_runtime(artifacts, monkeypatch):
    target = targets.load(artifacts.float32)
    margins = np.diff(np.sort(conformance.logits_of(target, TEST), axis=1)[:, -2:])[:, 0]
    limit, asked = float(np.sort(margins)[3]), conformance.logits_of

    def noisy(target, images, batch_size=None):
        found = asked(target, images, batch_size)
        return found if batch_size != 1 else found + np.where(np.arange(10) == 0, limit * 1.0001, 0)

    monkeypatch.setattr(conformance, "logits_of", noisy)
    found = runtime_drift.measure(target, TEST)
    assert found.undecided == sorted(np.argsort(margins)[:4].tolist()) and found.examples == 20
