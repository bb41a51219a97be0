"""Projected gradient ascent against answers known in closed form on linear classifiers."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import attacks, balls, objectives
from tfrobust.attacks import spec
from tfrobust.attacks.problem import Problem
from tfrobust.attacks.steps import Steepest
from tfrobust.errors import InputError

WEIGHTS = np.array([3.0, -4.0], "float32").reshape(1, 2, 1)  # label 0 has the logit 3 a - 4 b + 2
IMAGES = tf.fill([2, 1, 2, 1], 0.5)
LABELS = tf.constant([0, 0])
LOGITS = classifiers.two_class_linear(WEIGHTS, bias=2.0)


def change(attack, logits_fn=LOGITS, images=IMAGES, labels=LABELS):
    return tf.reshape(attack(logits_fn, images, labels, seed=0) - images, [-1, 2]).numpy()


@pytest.mark.parametrize("ball, expected", [(balls.Linf(0.1), [-0.1, 0.1]), (balls.L2(0.1), [-0.06, 0.08])])
@pytest.mark.parametrize("make", [attacks.fgsm, attacks.bim, attacks.pgd, attacks.mi_fgsm])
def test_on_a_linear_model_every_variant_ends_at_the_optimum(make, ball, expected):
    found = change(make(ball) if make is attacks.fgsm else make(ball, steps=30))
    # From a random start, l2 slides along the ball's surface toward the optimum and comes near it.
    np.testing.assert_allclose(found[0], expected, atol=1e-2 if make is attacks.pgd else 1e-5)


def test_steps_of_another_norm_have_its_length_and_the_ball_clips_them():
    """The gradient is (-3, 4): a step of l2 length 0.05 is (-0.03, 0.04), and from three on the ball clips them."""
    for steps, expected in ((1, [-0.03, 0.04]), (2, [-0.06, 0.08]), (3, [-0.09, 0.1]), (9, [-0.1, 0.1])):
        attack = attacks.pgd(
            balls.Linf(0.1), steps=steps, step_size=0.05, random_start=False, optimizer=Steepest(balls.L2), keep="last"
        )
        np.testing.assert_allclose(change(attack)[0], expected, atol=1e-6)


def test_clips_to_the_image_range():
    bright = tf.fill([1, 1, 2, 1], 0.95)
    np.testing.assert_allclose(
        change(attacks.fgsm(balls.Linf(0.1)), images=bright, labels=LABELS[:1]), [[-0.1, 0.05]], atol=1e-6
    )


def test_fgsm_is_one_step_of_the_radius_and_bim_steps_of_radius_over_steps():
    assert attacks.fgsm(balls.Linf(0.1)) == attacks.PGD(balls.Linf(0.1), steps=1, step_size=0.1, random_start=False)
    assert attacks.bim(balls.Linf(0.1), steps=5).step_size == pytest.approx(0.02)


def test_momentum_divides_each_gradient_by_its_l1_norm_before_it_is_added():
    """One coordinate's gradient turns its sign once: only the decayed sum decides the last step (Dong et al., eq. 6)."""
    weights = tf.Variable([[1.0, 1.0]])

    def logits_fn(images):
        flat = tf.reshape(images, [-1, 2])
        score = tf.reduce_sum(flat * weights, axis=1) - 4.0 * tf.nn.relu(0.5 - flat[:, 0])  # a kink at 0.5
        return tf.stack([score, tf.zeros_like(score)], axis=1)

    images = tf.constant([[[[0.55], [0.5]]]])
    attack = attacks.mi_fgsm(balls.Linf(0.3), steps=2, step_size=0.1, momentum=1.0, objective=objectives.margin)
    # Gradients of the margin: (-1, -1), then (-5, -1) at 0.45; normalized (-1/2, -1/2) and (-5/6, -1/6).
    np.testing.assert_allclose(change(attack, logits_fn, images, LABELS[:1]), [[-0.2, -0.2]], atol=1e-6)
    slow = attacks.mi_fgsm(balls.L2(1.0), steps=2, step_size=0.1, momentum=1.0, objective=objectives.margin)
    first, total = np.array([1, 1]) / np.sqrt(2), np.array([1 / 2 + 5 / 6, 1 / 2 + 1 / 6])
    expected = -0.1 * (first + total / np.linalg.norm(total))
    np.testing.assert_allclose(change(slow, logits_fn, images, LABELS[:1])[0], expected, atol=1e-5)


def test_a_zero_gradient_gives_the_start_and_no_nan():
    def constant(images):
        return tf.zeros([tf.shape(images)[0], 2]) + 0.0 * tf.reduce_sum(images)

    for ball in (balls.Linf(0.1), balls.L2(0.1)):
        np.testing.assert_array_equal(change(attacks.bim(ball), constant), np.zeros([2, 2]))
        np.testing.assert_array_equal(change(attacks.mi_fgsm(ball), constant), np.zeros([2, 2]))


def test_restarts_keep_the_best_run_of_each_example():
    """Two hills: only some starts climb the one that fools. More restarts fool no fewer, and in the end all."""

    def hills(images):
        a = tf.reshape(images, [-1, 2])[:, 0]
        wrong = tf.where(a > 0.52, 30.0 * (a - 0.52) - 0.1, 3.0 * (0.52 - a) - 0.6)
        return tf.stack([tf.zeros_like(wrong), wrong], axis=1)

    images, labels = tf.fill([40, 1, 2, 1], 0.5), tf.zeros([40], tf.int32)

    def broken(restarts):
        attack = attacks.pgd(balls.Linf(0.1), steps=5, restarts=restarts)
        return int(tf.reduce_sum(tf.argmax(hills(attack(hills, images, labels, seed=1)), axis=1)))

    counts = [broken(restarts) for restarts in (1, 3, 12)]
    assert counts[0] < counts[1] <= counts[2] and counts[2] == 40


def test_targeted_goes_toward_the_goal():
    matrix = tf.random.stateless_normal([4, 5], [1, 2])

    def logits_fn(images):
        return tf.reshape(images, [-1, 4]) @ matrix

    attack = attacks.pgd(balls.Linf(0.5), steps=10, targeted=True)
    images, goals = tf.fill([5, 2, 2, 1], 0.5), tf.range(5)
    adversarial = attack(logits_fn, images, goals, seed=0)
    before, after = (objectives.cross_entropy(logits_fn(x), goals).numpy() for x in (images, adversarial))
    there = tf.argmax(logits_fn(images), axis=1).numpy() == goals.numpy()
    assert there.sum() == 1 and (after[~there] < before[~there]).all()
    np.testing.assert_array_equal(adversarial[there], images[there])


def passing(images):
    """Class 1 wins where the first value lies between 0.53 and 0.57; the logit of class 2, which never wins, rises."""
    first = tf.reshape(images, [-1, 2])[:, 0]
    return tf.stack([tf.zeros_like(first), 0.02 - tf.abs(first - 0.55), first - 100.0], axis=1)


def upward(logits, labels):
    return logits[:, 2]


@pytest.mark.parametrize(
    "make",
    [
        lambda **options: attacks.bim(balls.Linf(0.1), **options),
        lambda **options: attacks.bim(balls.L2(0.1), **options),
        lambda **options: attacks.mi_fgsm(balls.Linf(0.1), **options),
        lambda **options: attacks.pgd(balls.Linf(0.1), steps=30, step_size=0.02, restarts=2, **options),
        lambda **options: attacks.adam_pgd(balls.Linf(0.1), steps=30, learning_rate=0.02, **options),
    ],
    ids=["bim", "l2", "mi_fgsm", "pgd", "adam_pgd"],
)
def test_a_success_on_the_way_is_kept_without_another_question(make):
    asked = []

    def counted(images):
        asked.append(len(images))
        return passing(images)

    best = change(make(objective=upward), counted)
    questions = len(asked)
    np.testing.assert_allclose(best[:, 0], [0.05, 0.05], atol=0.0101)
    last = change(make(objective=upward, keep="last"), counted)
    np.testing.assert_allclose(last[:, 0], [0.1, 0.1], atol=1e-5)
    assert len(asked) == 2 * questions


@pytest.mark.parametrize("make", [attacks.fgsm, attacks.bim])
def test_what_is_a_success_to_begin_with_goes_to_the_last_iterate(make):
    """In training, which calls `run` on all examples."""
    attack = make(balls.Linf(0.1))
    problem = attack.posed(Problem(LOGITS, IMAGES, 1 - LABELS))
    np.testing.assert_allclose(tf.reshape(attack.run(problem) - IMAGES, [2, 2]), [[0.1, -0.1]] * 2, atol=1e-5)


def test_without_a_success_the_last_iterate_is_returned():
    for keep in ("best", "last"):
        np.testing.assert_allclose(change(attacks.bim(balls.L2(0.1), keep=keep)), [[-0.06, 0.08]] * 2, atol=1e-5)


@pytest.mark.parametrize("ball", [balls.Linf(0.1), balls.L2(0.14)])
@pytest.mark.parametrize("make", [attacks.bim, attacks.pgd, attacks.mi_fgsm, spec.ATTACKS["adam_pgd"], attacks.apgd])
def test_nan_is_passed_by(make, ball):
    """The logits are NaN in a half space, the gradient of one value everywhere; the other one leads to a success."""

    def partly(images):
        first, second = tf.unstack(tf.reshape(images, [-1, 2]), axis=1)
        score = 3.0 * second - 1.55 + 0.0 * tf.sqrt(first - 0.5 - tf.stop_gradient(first - 0.5))
        score = tf.where(first < 0.47, float("nan"), score)
        return tf.stack([tf.zeros_like(score), score], axis=1)

    found = change(make(ball, steps=10), partly)
    assert np.isfinite(found).all() and (found[:, 1] > 0.016).all() and (found[:, 0] >= -0.03).all()


def test_misclassified_images_come_back_unchanged_and_are_asked_about_once():
    for attack in (attacks.fgsm(balls.Linf(0.1)), attacks.pgd(balls.L2(0.1), restarts=2)):
        np.testing.assert_array_equal(change(attack, labels=1 - LABELS), np.zeros([2, 2]))


@pytest.mark.parametrize("ball", [balls.Linf(0.3), balls.L2(0.4)])
def test_the_model_is_shown_nothing_outside_of_the_ball_and_0_to_1(ball):
    """The random start is clipped as well: half of all draws around black and white would leave [0, 1]."""
    shown = []

    def logits_fn(images):
        shown.append(images)
        return classifiers.two_class_linear(np.array([[[1.0], [-1.0]]]), bias=3.0)(images)

    images = tf.constant([0.0, 1.0, 1.0, 0.0], shape=[2, 1, 2, 1])
    attacks.pgd(ball, steps=2)(logits_fn, images, LABELS, seed=0)
    asked = np.stack(shown)
    assert len(asked) == 3 and asked.min() >= 0.0 and asked.max() <= 1.0
    assert all((ball.size(x - images) <= ball.radius * (1 + 1e-6)).numpy().all() for x in asked)
    assert (asked[1] != images.numpy()).any()


@pytest.mark.parametrize(
    "arguments",
    [{"steps": 0}, {"keep": "first"}, {"step_size": -1.0}, {"restarts": 0}, {"restarts": 2, "random_start": False}],
)
def test_senseless_settings_are_refused(arguments):
    with pytest.raises(InputError, match=next(iter(arguments))):
        attacks.PGD(balls.Linf(0.1), **arguments)
