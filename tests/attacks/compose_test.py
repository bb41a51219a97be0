"""Attacks made of attacks."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import InputError, attacks, balls, gradients, seeds

IMAGES = classifiers.random_images(12)
NETWORK = classifiers.smooth_network()
LABELS = np.argmax(NETWORK(IMAGES), axis=1).astype("int32")
PIXELS = np.arange(30).reshape(6, 5) % 3 == 0


def logits_fn(images):
    return NETWORK(images, training=False)


def run(attack, seed=0):
    return tf.function(
        lambda: attack(logits_fn, tf.constant(IMAGES), tf.constant(LABELS), seed=seed), autograph=False
    )().numpy()


@pytest.mark.parametrize("inner", ["pgd(linf(0.2), steps=10)", "pgd(l2(2.0), steps=10)", "deepfool()"])
def test_a_restricted_attack_changes_no_other_pixel_and_breaks_images_within_them(inner, tmp_path):
    np.save(tmp_path / "pixels.npy", PIXELS)
    attack = attacks.parse(f"restricted({inner}, {str(tmp_path / 'pixels.npy')!r})")
    adversarial = run(attack)
    np.testing.assert_array_equal(adversarial[:, ~PIXELS], IMAGES[:, ~PIXELS])
    broken = np.argmax(NETWORK(adversarial), axis=1) != LABELS
    assert broken.sum() >= 6 and (adversarial[:, PIXELS] != IMAGES[:, PIXELS]).any()


def test_all_pixels_are_no_restriction():
    attack = attacks.pgd(balls.Linf(0.05), steps=5)
    np.testing.assert_array_equal(run(attacks.Restricted(attack, np.ones([6, 5], bool))), run(attack))


@pytest.mark.parametrize("pixels", [np.zeros([6, 5], bool), np.ones([6, 5]), np.ones([6, 5, 3], bool)])
def test_pixels_are_a_bool_plane(pixels):
    with pytest.raises(InputError, match="pixels are bool"):
        attacks.Restricted(attacks.DeepFool(), pixels)


def test_pixels_of_another_size_are_refused():
    with pytest.raises(InputError, match=r"pixels are \(5, 6\), but the images \(6, 5\)"):
        run(attacks.Restricted(attacks.DeepFool(), PIXELS.T))


def test_expectation_follows_the_mean_gradient_of_the_draws():
    """Logits (s x, 0) with s drawn from 3, -1 in turn: one draw may point either way, the mean points up."""
    state = tf.Variable(0)

    def random_fn(images):
        scale = tf.gather([3.0, -1.0], state.assign_add(1) % 2)
        score = scale * images[:, 0, 0, 0]
        return tf.stack([tf.zeros_like(score), score], axis=1)

    images = tf.constant([[[[0.5]]]])
    attack = attacks.fgsm(balls.Linf(0.1))
    found = attacks.Expectation(attack, samples=2)(random_fn, images, tf.constant([0]), seed=0)
    np.testing.assert_allclose(found, [[[[0.6]]]], rtol=1e-6)
    single = {float(attack(random_fn, images, tf.constant([0]), seed=0)[0, 0, 0, 0]) for _ in range(2)}
    np.testing.assert_allclose(sorted(single), [0.4, 0.6], rtol=1e-6)


def test_the_mean_of_one_model_is_the_model():
    images = tf.constant(IMAGES)
    averaged = gradients.Averaged(logits_fn, 3)
    np.testing.assert_allclose(averaged(images), logits_fn(images), atol=1e-5)


def test_restarts_of_a_minimal_attack_keep_the_smallest_and_of_a_bounded_one_any_success():
    class Jump(attacks.DeepFool):
        """Goes to the one or the other end of the boundary by chance."""

        def __call__(self, logits_fn, images, labels, *, seed):
            near = super().__call__(logits_fn, images, labels, seed=seed)
            far = tf.clip_by_value(images + 1.5 * (near - images), 0.0, 1.0)
            return tf.where(balls.per_example(seeds.uniform(seed, []) < 0.5, images), near, far)

    sizes = [balls.L2.size(run(attacks.Restarts(Jump(), times)) - IMAGES).numpy() for times in (1, 2, 6)]
    assert (sizes[1] <= sizes[0]).all() and (sizes[2] <= sizes[1]).all() and sizes[2].mean() < sizes[0].mean()
    once, often = (run(attacks.Restarts(attacks.pgd(balls.Linf(0.04), steps=2), times)) for times in (1, 5))
    broken = [np.argmax(NETWORK(adversarial), axis=1) != LABELS for adversarial in (once, often)]
    assert (broken[1] >= broken[0]).all() and broken[1].sum() >= broken[0].sum()


@pytest.mark.parametrize("goal", ["least_likely", "random", 2])
def test_targeted_attacks_reach_their_goal(goal):
    attack = attacks.Targeted(attacks.pgd(balls.Linf(0.4), steps=40), goal)
    goals = attack.goals(logits_fn, tf.constant(IMAGES), tf.constant(LABELS), 0).numpy()
    reached = np.argmax(NETWORK(run(attack)), axis=1) == goals
    assert reached.mean() > 0.8
    if goal == "random":
        assert (goals != LABELS).all() and len(set(goals)) > 2
    if goal == "least_likely":
        np.testing.assert_array_equal(goals, np.argmin(NETWORK(IMAGES), axis=1))
    if goal == 2:
        np.testing.assert_array_equal(run(attack)[LABELS == 2], IMAGES[LABELS == 2])
