"""Randomized smoothing against the closed form of a linear classifier, whose distance to the boundary is known."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust.analysis import smoothing
from tfrobust.errors import InputError

WEIGHTS = np.array([3.0, -4.0], "float32").reshape(1, 2, 1)
LOGITS = classifiers.two_class_linear(WEIGHTS)  # f = 3 x - 4 y, class 0 where it is positive
SIGMA = 0.25


def at_distance(distances):
    """Images of which the boundary is that far away, on the side of class 0 where it is positive."""
    along = WEIGHTS / 5.0
    return (np.array([0.4, 0.3]).reshape(1, 1, 2, 1) + np.reshape(distances, [-1, 1, 1, 1]) * along).astype("float32")


def test_the_certified_radius_is_the_distance_within_the_confidence():
    """P(class) is the normal distribution at distance / sigma: theorem 1 gives the distance back, less what the bound takes."""
    distances = np.concatenate([np.linspace(0.03, 0.45, 20), -np.linspace(0.03, 0.45, 20)])
    found = smoothing.certify(LOGITS, at_distance(distances), SIGMA, samples=20_000, progress=False)
    sure = found.predictions != smoothing.ABSTAINED
    assert sure.sum() >= 38
    np.testing.assert_array_equal(found.predictions[sure], (distances < 0)[sure])
    assert (found.radii[sure] <= np.abs(distances)[sure]).all()
    assert (found.radii[sure] >= np.abs(distances)[sure] - 0.03).all() and (found.radii[~sure] == 0).all()


def test_a_bound_is_wrong_no_more_often_than_it_says():
    """With alpha 0.2 some of 300 certificates are longer than the distance, but not more than a fifth and chance."""
    images = at_distance(np.linspace(0.2, 0.2001, 300))
    found = smoothing.certify(LOGITS, images, SIGMA, samples=200, alpha=0.2, progress=False)
    assert 10 < (found.radii > 0.2001).sum() < 300 * 0.2 + 3 * np.sqrt(300 * 0.2 * 0.8)


def test_on_the_boundary_it_abstains_and_answers_nothing():
    images = at_distance(np.zeros(20))
    found = smoothing.certify(LOGITS, images, SIGMA, samples=1000, progress=False)
    assert (found.predictions == smoothing.ABSTAINED).sum() >= 18
    assert found.accuracy(np.zeros(20)) <= 0.1 and found.accuracy(np.zeros(20), radius=0.3) == 0
    answers = smoothing.predict(LOGITS, images, SIGMA, samples=1000, progress=False)
    assert (answers == smoothing.ABSTAINED).sum() >= 18


def test_away_from_it_the_smoothed_classifier_answers_as_the_model():
    images = at_distance([0.3, -0.3, 0.2, -0.2])
    np.testing.assert_array_equal(smoothing.predict(LOGITS, images, SIGMA, samples=500, progress=False), [0, 1, 0, 1])


def test_accuracy_counts_right_predictions_within_the_radius():
    found = smoothing.Certificates(np.array([0, 1, smoothing.ABSTAINED, 2]), np.array([0.5, 0.2, 0.0, 0.9]))
    assert found.accuracy([0, 1, 0, 1]) == 0.5 and found.accuracy([0, 1, 0, 1], radius=0.3) == 0.25


def test_the_noise_follows_from_seed_and_place_alone():
    images = at_distance([0.1, 0.1001])

    def radii(**options):
        return smoothing.certify(LOGITS, images, SIGMA, samples=500, progress=False, **options).radii

    np.testing.assert_array_equal(radii(batch_size=70), radii(batch_size=70))
    assert radii()[0] != radii()[1] and radii(seed=1)[0] != radii()[0]


def test_answers_that_are_nan_count_for_no_class():
    def half_nan(images):
        broken = images[:, 0, 0, 0] > 0.55
        return tf.where(broken[:, None], float("nan"), LOGITS(images))

    images = at_distance([0.24, 0.241])  # x = 0.544: nearly half of the answers are NaN
    assert smoothing.certify(half_nan, images, 0.05, samples=500, progress=False).radii[0] == 0


@pytest.mark.parametrize("wrong", [{"sigma": 0.0}, {"alpha": 0.5}, {"alpha": 0.0}, {"samples": 0}, {"selection": 0}])
def test_senseless_numbers_are_refused(wrong):
    with pytest.raises(InputError):
        smoothing.certify(LOGITS, at_distance([0.1]), **{"sigma": SIGMA, **wrong})
