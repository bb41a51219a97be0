"""The average of several networks' logits."""

import numpy as np

from tfrobust.layers import MemberAverage


def test_average_of_two_known_members():
    """Odds 3 : 1 and 1 : 7 have the mean probabilities (7/16, 9/16)."""
    logits = [np.log([[3.0, 1.0]]).astype("float32"), np.log([[2.0, 14.0]]).astype("float32")]
    np.testing.assert_allclose(MemberAverage("logits")(logits), np.log([[6.0, 14.0]]) / 2, rtol=1e-6)
    np.testing.assert_allclose(MemberAverage("probabilities")(logits), np.log([[7 / 16, 9 / 16]]), rtol=1e-6)


def test_average_of_probabilities_is_finite_for_certain_members():
    """Members that are certain of different classes: half and half, where softmax underflows to 0."""
    average = MemberAverage("probabilities")([np.float32([[0, 1000, 0]]), np.float32([[0, 0, 1000]])])
    np.testing.assert_allclose(average, [[-1000, np.log(0.5), np.log(0.5)]], rtol=1e-5)
