"""Auto-PGD against a second, plain implementation of the paper's algorithm and against closed forms."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import attacks, balls, objectives, seeds
from tfrobust.attacks.gradient.apgd_steps import Plan, checkpoints, rule_for
from tfrobust.errors import InputError


def test_checkpoints_are_the_papers():
    """p = 0, 0.22, then increments that fall by 0.03 down to 0.06 (section 3.1)."""
    ends = [step + 1 for step, window in enumerate(checkpoints(100)) if window]
    assert ends == [22, 41, 57, 70, 80, 87, 93, 99]
    assert [window for window in checkpoints(100) if window] == [22, 19, 16, 13, 10, 7, 6, 6]
    assert checkpoints(3) == [1, 1, 1]


def hard_network():
    """A rough landscape that the ascent has to slow down in, and images that it cannot break.

    In float64: what a kernel rounds otherwise for one image than for three would grow in 40 steps.
    """
    matrix = np.random.default_rng(3).normal(size=(12, 5)).astype("float32").astype("float64")

    def logits_fn(images):
        flat = tf.cast(tf.reshape(images, [-1, 12]), tf.float64)
        logits = 3.0 * tf.sin(3.0 * flat @ matrix) + 15.0 * tf.constant([[1.0, 0, 0, 0, 0]], tf.float64)
        return tf.cast(logits, tf.float32)

    return logits_fn


def plain_apgd(logits_fn, image, start, ball, steps):
    """Algorithm 1 as it stands, for one image: where it ends, and all step sizes."""

    def inside(x):
        return np.clip(image + ball.project(tf.constant(x - image)).numpy(), 0, 1)

    def evaluate(x):
        x = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = objectives.log_odds(logits_fn(x), tf.constant([0]))
        return float(value[0]), tape.gradient(value, x)

    step_size, x = np.float32(2 * ball.radius), inside(image + start)
    value, gradient = evaluate(x)
    previous, best, ends = x, (value, x, gradient), {end for end, window in enumerate(checkpoints(steps)) if window}
    rises, checked, halved, history = 0, value, True, []
    last_end = -1
    for step in range(steps):
        z = inside(x + step_size * ball.steepest(gradient).numpy())
        share = np.float32(0.75 if step else 1.0)
        x, previous = inside(x + share * (z - x) + (1 - share) * (x - previous)), x
        new_value, gradient = evaluate(x)
        rises += new_value > value
        value = new_value
        if value > best[0]:
            best = (value, x, gradient)
        if step in ends:
            halve = rises <= 0.75 * (step - last_end) or (not halved and checked >= best[0])
            if halve:
                step_size, x, gradient = step_size / 2, best[1], best[2]
            rises, checked, halved, last_end = 0, best[0], halve, step
        history.append(step_size)
    return best[1], history


@pytest.mark.parametrize("ball", [balls.Linf(0.1), balls.L2(0.3)])
def test_ends_where_a_plain_implementation_ends(ball):
    logits_fn, images = hard_network(), classifiers.random_images(3, (2, 2, 3))
    keys = seeds.per_example(0, tf.range(3))
    found = attacks.apgd(ball, steps=40)(logits_fn, images, tf.zeros([3], tf.int32), seed=keys)
    starts = ball.sample(seeds.fold_in(keys, 0), (2, 2, 3))
    starts *= balls.per_example(ball.radius / ball.size(starts), starts)
    for row in range(3):
        expected, sizes = plain_apgd(logits_fn, images[row : row + 1], starts[row : row + 1].numpy(), ball, 40)
        np.testing.assert_allclose(found[row : row + 1], expected, atol=2e-5)
        assert sizes[-1] <= ball.radius / 4  # it did slow down


@pytest.mark.parametrize(
    "rises, best, was_halved, halves",
    [
        (8.0, 2.0, False, False),  # 8 of 10 steps rose, and there is a new best
        (7.0, 2.0, False, True),  # condition 1: 7 of 10
        (8.0, 1.0, False, True),  # condition 2: no new best
        (8.0, 1.0, True, False),  # the step size is new: it gets another window
    ],
)
def test_conditions_at_a_checkpoint(rises, best, was_halved, halves):
    image, rule = tf.zeros([1, 1, 1, 1]), rule_for(balls.Linf(0.1))
    state = rule.begin(image, image, tf.constant([1.0]), image, 0.1)
    state = state._replace(best=image + 1.0, best_gradient=image + 2.0, best_value=tf.constant([best]))
    progress = state.progress._replace(count=tf.constant([rises]), halved=tf.constant([was_halved]))
    state = state._replace(progress=progress)
    for window, after in ((0, False), (10, halves)):
        plan = Plan(tf.constant(0.1), tf.constant(False), tf.constant(False), tf.constant(window))
        found = rule.check(image, state, state, plan)
        np.testing.assert_allclose(found.step_size, [0.1 if after else 0.2])
        np.testing.assert_array_equal([found.x, found.gradient], [image + 1.0 * after, image + 2.0 * after])
    progress = found.progress
    assert bool(progress.halved[0]) == halves and float(progress.count[0]) == 0.0
    assert float(progress.checked_value[0]) == best


def plain_sparse_apgd(logits_fn, image, start, radius, steps):
    """Mind the box, algorithm 1 and the three radii of section 3.4, as they stand, for one image: where it ends."""
    size, best = image.size, image + start
    for times, count in ((3, round(0.3 * steps)), (2, round(0.3 * steps)), (1, round(0.4 * steps))):
        limit = times * radius

        def inside(x, limit=limit):
            return balls.L1.nearest_image(tf.constant(x), tf.constant(image), limit).numpy()

        def evaluate(x):
            x = tf.constant(x)
            with tf.GradientTape() as tape:
                tape.watch(x)
                value = objectives.log_odds(logits_fn(x), tf.constant([0]))
            return float(value[0]), tape.gradient(value, x).numpy()

        x = inside(best)
        value, gradient = evaluate(x)
        best, best_value, best_gradient = x, value, gradient
        changed = np.count_nonzero(x - image)
        share, step_size, every = (
            np.float32(changed) / np.float32(size) / np.float32(1.5),
            limit,
            max(int(0.04 * count), 1),
        )
        for step in range(count):
            place = min(int((np.float32(1) - share) * np.float32(size)), size - 1)
            threshold = np.sort(abs(gradient).ravel())[place]
            signs = np.sign(gradient) * (abs(gradient) >= threshold)
            x = inside((x + step_size * signs / abs(signs).sum()).astype("float32"))
            value, gradient = evaluate(x)
            if value > best_value:
                best, best_value, best_gradient = x, value, gradient
            if (step + 1) % every == 0:
                now = np.count_nonzero(best - image)
                if now / changed < 0.95:
                    step_size, x, gradient = limit, best, best_gradient
                else:
                    step_size = max(step_size / 1.5, limit / 10)
                share, changed = np.float32(now) / np.float32(size) / np.float32(1.5), now
    return best


@pytest.mark.parametrize("steps", [20, 60])  # in windows of one step and of two
def test_in_l1_it_ends_where_a_plain_implementation_ends(steps):
    logits_fn, images = hard_network(), classifiers.random_images(3, (2, 2, 3))
    keys = seeds.per_example(0, tf.range(3))
    found = attacks.apgd(balls.L1(0.5), steps=steps)(logits_fn, images, tf.zeros([3], tf.int32), seed=keys)
    noise = seeds.normal(seeds.fold_in(keys, 0), (2, 2, 3)).numpy()
    for row in range(3):
        expected = plain_sparse_apgd(logits_fn, images[row : row + 1], noise[row : row + 1], 0.5, steps)
        np.testing.assert_allclose(found[row : row + 1], expected, atol=2e-5)


@pytest.mark.parametrize("ball, expected", [(balls.Linf(0.1), [-0.1, 0.1]), (balls.L2(0.1), [-0.06, 0.08])])
def test_on_a_linear_model_an_image_that_resists_ends_at_the_optimum(ball, expected):
    logits_fn = classifiers.two_class_linear(np.array([3.0, -4.0], "float32").reshape(1, 2, 1), bias=2.0)
    images = tf.fill([2, 1, 2, 1], 0.5)
    found = attacks.apgd(ball, steps=40)(logits_fn, images, tf.constant([0, 0]), seed=0) - images
    np.testing.assert_allclose(tf.reshape(found, [2, 2]), [expected] * 2, atol=1e-3)


@pytest.mark.parametrize("ball", [balls.Linf(0.1), balls.L2(0.3)])
def test_starts_on_the_surface_and_ends_there_without_a_gradient(ball):
    def constant(images):
        return tf.constant([[1.0, 0.0]]) + tf.zeros([tf.shape(images)[0], 1]) + 0.0 * tf.reduce_sum(images)

    images = classifiers.random_images(4, low=0.4, high=0.6)
    delta = attacks.apgd(ball, steps=3)(constant, images, tf.zeros([4], tf.int32), seed=0) - images
    np.testing.assert_allclose(ball.size(delta), [ball.radius] * 4, rtol=1e-5)


def test_targeted_runs_go_to_the_likeliest_wrong_classes_of_the_clean_image():
    """Class 2 is second, but out of reach; class 1 is third and wins in a corner of the ball: two targets get there."""

    def logits_fn(images):
        both = tf.reduce_sum(images, axis=[1, 2, 3])
        zero = tf.zeros_like(both)
        return tf.stack([zero + 3.9, 20.0 * (both - 1.0), 0.5 - 0.1 * (both - 1.0), zero - 2.0, zero - 3.0], axis=1)

    images, labels = tf.fill([1, 1, 2, 1], 0.5), tf.constant([0])

    def answer(targets):
        adversarial = attacks.apgd_targeted(balls.Linf(0.1), steps=25, targets=targets)(
            logits_fn, images, labels, seed=0
        )
        return int(tf.argmax(logits_fn(adversarial), axis=1)[0])

    assert [answer(targets) for targets in (1, 2, 9)] == [0, 1, 1]


def test_targeted_dlr_is_the_papers_formula():
    logits = tf.constant([[4.0, 1.0, 3.0, 2.0, 0.0]])
    found = objectives.targeted_dlr(logits, tf.constant([0]), tf.constant([3]))
    np.testing.assert_allclose(found, [-(4 - 2) / (4 - (2 + 1) / 2)])
    shifted = objectives.targeted_dlr(7.0 * logits + 5.0, tf.constant([0]), tf.constant([3]))
    np.testing.assert_allclose(found, shifted, rtol=1e-6)
    with pytest.raises(InputError, match="four classes"):
        objectives.targeted_dlr(logits[:, :3], tf.constant([0]), tf.constant([1]))


@pytest.mark.parametrize("classes", [2, 3])
def test_few_classes_have_targets_too(classes):
    network = classifiers.smooth_network(classes=classes)
    images = classifiers.random_images(8)
    labels = np.argmax(network(images), axis=1)
    adversarial = attacks.apgd_targeted(balls.Linf(0.4), steps=10)(network, tf.constant(images), labels, seed=0)
    assert (np.argmax(network(adversarial), axis=1) != labels).all()


def test_broken_examples_are_not_worked_on_and_the_rest_ends_the_same():
    network, images = classifiers.smooth_network(), classifiers.random_images(30)
    labels, rows = np.argmax(network(images), axis=1), []

    def logits_fn(x):
        rows.append(len(x))
        return network(x)

    attack = attacks.apgd(balls.Linf(0.02), steps=20)
    found = attack(logits_fn, tf.constant(images), labels, seed=seeds.per_example(0, tf.range(30)))
    assert rows[0] == 30 and 0 < rows[-1] < 30 and rows == sorted(rows, reverse=True)
    alone = [attack(network, images[i : i + 1], labels[i : i + 1], seed=seeds.per_example(0, [i])) for i in (0, 7, 29)]
    np.testing.assert_allclose(np.concatenate(alone), found.numpy()[[0, 7, 29]], atol=1e-5)


def test_misclassified_images_come_back_unchanged():
    network, images = classifiers.smooth_network(), classifiers.random_images(6)
    wrong = (np.argmax(network(images), axis=1) + 1) % 4
    for attack in (attacks.apgd(balls.Linf(0.1), steps=3), attacks.apgd_targeted(balls.L2(0.5), steps=3)):
        np.testing.assert_array_equal(attack(network, tf.constant(images), wrong, seed=0), images)


@pytest.mark.parametrize("arguments", [{"steps": 0}, {"restarts": 0}, {"targets": -1}, {"objective": "dlr"}])
def test_senseless_settings_are_refused(arguments):
    with pytest.raises(InputError, match=next(iter(arguments))):
        attacks.APGD(balls.Linf(0.1), **arguments)
    with pytest.raises(InputError, match="apgd: ball must be a linf, l2 or l1 ball"):
        attacks.apgd(balls.L0(1))
    with pytest.raises(InputError, match="targets"):
        attacks.apgd_targeted(balls.Linf(0.1), targets=0)
