"""HopSkipJump: its estimate of the direction from the images that it has asked about, and how far those lie."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import attacks, balls
from tfrobust.attacks.problem import Problem

WEIGHTS = np.random.default_rng(1).normal(size=(3, 4, 1)).astype("float32")
LABELS = tf.constant([0])
NORMS = pytest.mark.parametrize("norm", [balls.L2, balls.Linf])


@NORMS
@pytest.mark.parametrize("height", [0.05, 10.0], ids=["off the boundary", "far from it"])
def test_sums_the_draws_by_their_answers_less_the_mean_answer(norm, height):
    """Chen et al., eq. 16, from the images it has asked about: sum of (phi - mean phi) * u. Far away phi is constant."""
    x, radius, shown, answers = tf.fill([1, 3, 4, 1], 0.5), tf.constant([0.1]), [], []

    def python_labels(images):
        shown.append(images.numpy())
        answers.append(((images.numpy() - 0.5) * WEIGHTS).sum(axis=(1, 2, 3)) + height > 0)
        return answers[-1].astype("int32")

    problem = Problem(python_labels, x, LABELS, keys=tf.constant([[0, 0]]), batch=tf.constant(33))
    direction, one_sided = attacks.HopSkipJump(norm)._direction(problem, x, radius, tf.constant(100))
    draws = (np.concatenate(shown) - 0.5) / 0.1
    phi = 2.0 * np.concatenate(answers) - 1.0
    assert [len(images) for images in shown] == [33, 33, 33, 1] and phi.mean() > 0.2
    weighted = (phi - phi.mean() if height < 10 else phi)[:, None, None, None] * draws
    expected = norm.steepest(weighted.sum(axis=0, keepdims=True).astype("float32"))
    np.testing.assert_allclose(direction, expected, atol=1e-4)
    assert bool(one_sided[0]) == (height == 10)


@NORMS
def test_probes_lie_a_tenth_away_at_first_and_then_the_distance_over_the_dimensions(norm, monkeypatch):
    """Section IV-C: sqrt(d) theta times the distance with theta = d^-3/2 in l2, d theta with theta = d^-2 in linf."""
    radii, distances = [], []
    estimate = attacks.HopSkipJump._direction

    def recorded(attack, problem, x, radius, draws):
        radii.append(float(radius[0]))
        distances.append(float(norm.size(x - problem.images)[0]))
        return estimate(attack, problem, x, radius, draws)

    monkeypatch.setattr(attacks.HopSkipJump, "_direction", recorded)
    images = classifiers.random_images(1, (3, 4, 1), low=0.4, high=0.6)
    logits_fn = classifiers.two_class_linear(WEIGHTS, 0.5 - float((images * WEIGHTS).sum()))
    far_side = np.clip(0.5 - 2.0 * WEIGHTS[None], 0, 1).astype("float32")
    attacks.HopSkipJump(norm, steps=3, samples=20, starts=far_side)(logits_fn, images, LABELS, seed=0)
    np.testing.assert_allclose(radii, [0.1, distances[1] / 12, distances[2] / 12], rtol=1e-5)


def test_probes_widen_tenfold_where_all_answers_are_alike_but_not_beyond_the_image(monkeypatch):
    radii, alike = [], iter([False, True, True, True, False])

    def direction(attack, problem, x, radius, draws):
        radii.append(radius.numpy()[0])
        return tf.zeros_like(x), tf.constant([next(alike)])

    monkeypatch.setattr(attacks.HopSkipJump, "_direction", direction)
    image, start = np.zeros([1, 10, 10, 1], "float32"), np.ones([1, 10, 10, 1], "float32")
    logits_fn = classifiers.two_class_linear(np.full([10, 10, 1], -1.0), 50.0)  # 0.5 in linf, 5 in l2
    attacks.HopSkipJump(balls.Linf, steps=5, starts=start)(logits_fn, image, LABELS, seed=0)
    np.testing.assert_allclose(radii, [0.1, 0.005, 0.05, 0.5, 5.0], rtol=1e-3)
    alike, radii[:] = iter([True] * 5), []
    attacks.HopSkipJump(balls.Linf, steps=5, starts=start)(logits_fn, image, LABELS, seed=0)
    np.testing.assert_allclose(radii, [0.1, 0.05, 0.5, 5.0, 5.0], rtol=1e-3)


def large_problem(side):
    """Images of which twelve values matter: 0.05 in linf from the other class. And what the model answered, in order."""
    places = np.random.default_rng(0).choice(side * side * 3, 12, replace=False)
    weights, asked = np.where(np.arange(12) < 6, 1.0, -1.0), []

    def python_labels(images):
        images = np.asarray(images).reshape(len(images), -1)[:, places]
        asked.append((images * weights).sum(axis=1) > 12 * 0.05)
        return asked[-1].astype("int32")

    image = np.full([1, side, side, 3], 0.5, "float32")
    start = image.copy()
    start.reshape(-1)[places] += (0.4 * weights * np.linspace(-0.5, 1.0, 12)).astype("float32")
    problem = Problem(python_labels, image, LABELS, keys=tf.constant([[0, 0]]), batch=tf.constant(30))
    return problem, start, asked


@pytest.mark.parametrize("side, norm", [(96, balls.Linf), (224, balls.Linf), (224, balls.L2)])
def test_probes_of_large_images_are_seen_in_float32(side, norm):
    """The distance over the dimensions, spread over all values, is less than a float32 step of any of them."""
    problem, start, asked = large_problem(side)
    found = attacks.HopSkipJump(norm, steps=3, samples=30, starts=start).solve(problem)
    probes = [answers for answers in asked if len(answers) > 1]
    assert len(probes) >= 3 and all(0.1 < np.mean(answers) < 0.9 for answers in probes)
    if norm is balls.Linf:
        begun = attacks.HopSkipJump(norm, steps=1, samples=1, starts=start).solve(problem)
        assert norm.size(found - problem.images) < 0.8 * norm.size(begun - problem.images)
