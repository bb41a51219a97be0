"""CLEVER where the distance is known, and its fit where the distribution is."""

import keras
import numpy as np
import pytest
import scipy.stats

from tests.support import classifiers
from tfrobust import balls
from tfrobust.evaluation import clever as clever_lib
from tfrobust.evaluation.clever import clever

IMAGES = classifiers.random_images(3, (4, 4, 1), low=0.3, high=0.7)


@pytest.mark.parametrize("norm", [balls.L2, balls.Linf])
def test_of_a_linear_network_it_is_the_distance(norm):
    """The margin over the dual norm of its weights; a goal's distance is its own."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    weights, logits = network.layers[-1].kernel.numpy(), network(IMAGES).numpy()
    labels = logits.argmax(axis=1)
    order = 2 if norm is balls.L2 else 1
    distances = np.array(
        [
            [
                np.inf
                if j == label
                else (row[label] - row[j]) / np.linalg.norm(weights[:, label] - weights[:, j], order)
                for j in range(3)
            ]
            for row, label in zip(logits, labels)
        ]
    )
    ball = norm(float(norm is balls.L2) * 4 + 1.0)
    found = clever(network, IMAGES, ball, batches=3, samples=5)
    np.testing.assert_allclose(found, np.minimum(distances.min(axis=1), ball.radius), rtol=1e-4)
    goals = (labels + 1) % 3
    found = clever(network, IMAGES, ball, goals=goals, batches=3, samples=5)
    np.testing.assert_allclose(found, np.minimum(distances[np.arange(3), goals], ball.radius), rtol=1e-4)
    assert (clever(network, IMAGES, ball, goals=labels, batches=2, samples=5) == 0).all()


def test_no_score_exceeds_the_radius():
    network = classifiers.smooth_network()
    images = classifiers.random_images(2)
    near, far = (clever(network, images, balls.L2(radius), batches=10, samples=20) for radius in (1e-3, 2.0))
    np.testing.assert_allclose(near, 1e-3)
    assert (far > 1e-3).all() and (far <= 2.0).all()


def test_the_fit_finds_the_end_of_a_known_distribution():
    """Of 500 draws each; the end is 3, no draw lies beyond, and the likelihood has a maximum, which SciPy finds, too."""
    for shape in (2.0, 5.0):
        draws = scipy.stats.weibull_max.rvs(shape, loc=3.0, scale=0.5, size=500, random_state=0)
        found = clever_lib.location(draws)
        assert found >= draws.max() and found == pytest.approx(3.0, rel=0.03)
        assert found == pytest.approx(-scipy.stats.weibull_min.fit(-draws, 1)[1], rel=0.02)
    assert clever_lib.location(np.full(5, 2.0)) == 2.0


@pytest.mark.parametrize("seed", range(5))
def test_the_fit_of_draws_without_an_end_stays_near_the_largest(seed):
    """The most likely end of these is at infinity, where a score would be zero."""
    draws = scipy.stats.gumbel_r.rvs(loc=0.92, scale=0.02, size=50, random_state=seed)
    found = clever_lib.location(draws)
    assert draws.max() < found < draws.max() + np.ptp(draws)
    assert clever_lib.location(1000 * draws) == pytest.approx(1000 * found, rel=1e-3)
