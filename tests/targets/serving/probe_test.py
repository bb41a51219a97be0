"""Which scores are rounded, and which are not."""

import numpy as np
import pytest

from tfrobust.targets.serving.probe import step_of

GENERATOR = np.random.default_rng(0)
SCORES = GENERATOR.normal(size=[20, 10]).astype("float32") * 5


def _softmax(scores):
    powers = np.exp(scores.astype("float64"))
    return (powers / powers.sum(axis=1, keepdims=True)).astype("float32")


@pytest.mark.parametrize(
    "scores, step",
    [
        (np.round(SCORES, 2), 0.01),
        (np.round(SCORES, 3), 0.001),
        (np.round(_softmax(SCORES), 2), 0.01),
        (np.round(_softmax(SCORES), 4), 0.0001),
        (np.round(SCORES / 0.137).astype("float32") * np.float32(0.137) + np.float32(0.05), 0.137),  # int8 outputs
        (np.round(SCORES * 8) / 8, 0.125),
    ],
)
def test_the_step_of_rounded_scores_is_found(scores, step):
    assert step_of(scores.astype("float32")) == pytest.approx(step, rel=1e-2)


@pytest.mark.parametrize("scores", [SCORES, _softmax(SCORES), SCORES.astype("float16"), np.zeros([20, 10], "float32")])
def test_scores_that_are_not_rounded_have_none(scores):
    assert step_of(scores) is None


def test_labels_have_none():
    assert step_of(np.arange(20)) is None
