"""The door to the model: what it is shown and how often, what it answers, and what the attacker wants of it."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import balls, objectives, seeds
from tfrobust.attacks.problem import Problem
from tfrobust.errors import InputError

LOGITS = np.array([[0.1, 2.0, -1.0], [5.0, 4.0, 4.5]], "float32")
SHAPE = (2, 3, 1)
IMAGES = np.full([2, *SHAPE], 0.5, "float32")
WEIGHTS = np.arange(1.0, 7.0, dtype="float32").reshape(SHAPE)
LINEAR = classifiers.two_class_linear(WEIGHTS)


def fixed(answer):
    return Problem(lambda images: answer, IMAGES, [1, 1])


@pytest.mark.parametrize("answer", [LOGITS, LOGITS.astype("float64"), np.array([1, 0]), np.array([1, 0], "int64")])
def test_predictions_come_from_logits_or_labels(answer):
    predicted = fixed(answer).predictions(IMAGES)
    assert predicted.dtype == tf.int32
    np.testing.assert_array_equal(predicted, [1, 0])


def test_nothing_is_asked_about_no_image():
    def not_asked(images):
        raise AssertionError("a model was asked about no image at all")

    problem = Problem(not_asked, IMAGES[:0], np.zeros(0, "int32"))
    predicted = problem.predictions(IMAGES[:0])
    assert predicted.shape == [0] and predicted.dtype == tf.int32


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float32, tf.float64])
def test_logits_gradients_and_pullbacks_are_float32(dtype):
    problem = Problem(lambda images: tf.cast(LINEAR(images), dtype), IMAGES, [0, 1])
    logits, pullback = problem.pullback(IMAGES)
    found = problem.ascend(problem.margin_of, IMAGES)
    for tensor in (problem.logits(IMAGES), logits, pullback(tf.one_hot([0, 0], 2)), *found):
        assert tensor.dtype == tf.float32
    np.testing.assert_allclose(logits, [[10.5, 0.0]] * 2)
    np.testing.assert_allclose(found.value, [-10.5, 10.5])
    np.testing.assert_allclose(found.gradient, np.stack([-WEIGHTS, WEIGHTS]))


def test_scores_are_asked_of_a_model_that_gives_them():
    with pytest.raises(InputError, match="but the model gives labels"):
        fixed(np.array([1, 0])).logits(IMAGES)


def test_success_is_another_answer_or_the_goal():
    problem = fixed(LOGITS)
    np.testing.assert_array_equal(problem.succeeds(IMAGES), [False, True])
    np.testing.assert_array_equal(problem.wanted(tf.constant(LOGITS)), [False, True])
    np.testing.assert_array_equal(problem.toward([1, 1]).succeeds(IMAGES), [True, False])
    np.testing.assert_allclose(problem.margin(IMAGES), [-1.9, 1.0])
    np.testing.assert_allclose(problem.toward([1, 1]).margin(IMAGES), [1.9, -1.0])


def test_open_rows_are_no_success_at_the_clean_image():
    np.testing.assert_array_equal(fixed(LOGITS).opened().open_rows(), [0])
    np.testing.assert_array_equal(fixed(LOGITS).toward([1, 1]).opened().open_rows(), [1])


def test_gradient_of_goals_is_that_of_the_negative_objective():
    problem = Problem(LINEAR, IMAGES, [0, 1])
    value, gradient = problem.value_and_gradient(objectives.margin, IMAGES)
    toward, downhill = problem.toward([0, 1]).value_and_gradient(objectives.margin, IMAGES)
    np.testing.assert_array_equal(toward, -value)
    np.testing.assert_array_equal(downhill, -gradient)


def test_at_keeps_what_belongs_to_an_example():
    parts = {"goals": [5, 6], "keys": tf.constant([[1, 2], [3, 4]]), "clean": tf.constant(LOGITS)}
    here = Problem(LINEAR, IMAGES * [[[[0.0]]], [[[1.0]]]], [7, 8], **parts).at([1, 1, 0])
    np.testing.assert_array_equal(here.images[:, 0, 0, 0], [0.5, 0.5, 0.0])
    np.testing.assert_array_equal(here.labels, [8, 8, 7])
    np.testing.assert_array_equal(here.goals, [6, 6, 5])
    np.testing.assert_array_equal(here.keys, [[3, 4], [3, 4], [1, 2]])
    np.testing.assert_array_equal(here.clean, LOGITS[[1, 1, 0]])
    np.testing.assert_array_equal(here.rows, [1, 1, 0])
    assert int(here.batch) == 2


def test_pullback_gives_every_class_gradient_from_one_forward_pass():
    matrix = tf.random.stateless_normal([6, 3], [2, 3])
    calls = []

    def logits_fn(x):
        calls.append(1)
        return tf.reshape(x, [-1, 6]) @ matrix

    logits, pullback = Problem(logits_fn, IMAGES, [0, 0]).pullback(IMAGES)
    for label in range(3):
        found = pullback(tf.one_hot([label, label], 3))
        np.testing.assert_allclose(tf.reshape(found[1], [-1]), matrix[:, label], rtol=1e-6)
    assert len(calls) == 1 and logits.shape == (2, 3)


def test_confined_shows_the_clean_values_of_the_other_pixels():
    left, upper = np.array([True, True, False])[:, None], np.array([True, False])[:, None, None]
    once = Problem(LINEAR, IMAGES, [0, 0]).confined(left)
    twice = once.confined(upper)
    white = tf.ones_like(IMAGES)
    np.testing.assert_array_equal(once.shown(white)[0, ..., 0], [[1, 1, 0.5], [1, 1, 0.5]])
    np.testing.assert_array_equal(twice.shown(white)[0, ..., 0], [[1, 1, 0.5], [0.5, 0.5, 0.5]])
    _, gradient = twice.value_and_gradient(objectives.margin, white)
    np.testing.assert_array_equal(gradient[0, ..., 0], [[-1, -2, 0], [0, 0, 0]])


def test_rounded_is_the_problem_of_the_images_on_the_grid():
    opened = Problem(LINEAR, IMAGES, [0, 0]).opened()
    problem = opened.rounded(balls.Linf(0.1))
    assert problem.clean is None and problem.on_grid and problem.grid_ball == balls.Linf(0.1)
    np.testing.assert_array_equal(problem.images, np.full_like(IMAGES, 128 / 255))
    np.testing.assert_allclose(problem.opened().clean, LINEAR(problem.images))
    x = IMAGES + 0.101
    np.testing.assert_array_equal(problem.shown(x), np.full_like(IMAGES, 153 / 255))
    np.testing.assert_array_equal(problem.value_and_gradient(objectives.margin, x)[1][0], -WEIGHTS)


def test_averaged_is_the_mean_over_draws_of_answers_and_gradients():
    """Scales 1, 2, 3, ... in turn, so that the mean over the first three draws is 2."""
    count = []

    def random_fn(images):
        count.append(1)
        return len(count) * LINEAR(images)

    problem = Problem(random_fn, IMAGES, [1, 1], clean=tf.constant(LOGITS)).averaged(3)
    assert problem.clean is None
    np.testing.assert_allclose(problem.logits(IMAGES), [[21.0, 0.0]] * 2)
    count.clear()
    value, gradient = problem.value_and_gradient(objectives.margin, IMAGES)
    np.testing.assert_allclose(value, [21.0] * 2)
    np.testing.assert_allclose(gradient, np.stack([2 * WEIGHTS] * 2))
    assert len(count) == 3 and problem.averaged(2).samples == 6
    with pytest.raises(InputError, match="needs its scores"):
        fixed(np.array([1, 0])).averaged(2).answers(IMAGES)


def test_counted_answers_hopelessly_when_nothing_is_left():
    """Three queries: one at the clean image, and two of each example's own; then the clean answer, ten thousand times."""
    asked = []

    def recorded(images):
        asked.append(len(images))
        return LINEAR(images)

    problem = Problem(recorded, IMAGES, [0, 0]).counted(3)
    assert asked == [2]
    white = np.ones_like(IMAGES)
    np.testing.assert_allclose(problem.at([1]).logits(white[:1]), [[21.0, 0.0]])
    np.testing.assert_allclose(problem.logits(white), [[21.0, 0.0]] * 2)
    np.testing.assert_allclose(problem.logits(white), [[21.0, 0.0], [105_000.0, 0.0]])
    np.testing.assert_allclose(problem.at([0, 0]).logits(white), [[105_000.0, 0.0]] * 2)
    assert asked == [2, 1, 2, 1]


@pytest.mark.parametrize("batch", [1, 3, 7, 12, 33, 10_000])
def test_sums_over_draws_do_not_depend_on_how_many_images_are_shown_at_once(batch):
    """The same draws as one by one, each exactly once, at most `batch` images in one call (or one per example)."""
    keys = tf.constant([[1, 2], [3, 4], [5, 6]])
    problem = Problem(LINEAR, np.zeros([3, *SHAPE], "float32"), [0, 1, 2], keys=keys, batch=tf.constant(batch))
    shown = []

    def function(pairs, rows):
        shown.append(len(rows))
        np.testing.assert_array_equal(pairs.labels, rows)
        values = seeds.uniform(pairs.keys, [4])
        return [values + tf.cast(rows, tf.float32)[:, None], tf.ones_like(rows, tf.float32)]

    sums, counts = problem.sum_over_draws(function, 11)
    one_by_one = sum(seeds.uniform(seeds.fold_in(keys, draw), [4]).numpy() for draw in range(11))
    np.testing.assert_allclose(sums, one_by_one + 11 * np.arange(3)[:, None], rtol=1e-5)
    np.testing.assert_array_equal(counts, [11, 11, 11])
    assert max(shown) <= max(batch, 3) and sum(shown) == 33


NO_PATH = {
    "round": tf.round,
    "stop_gradient": tf.stop_gradient,
    "jpeg": lambda x: tf.map_fn(lambda image: tf.image.adjust_jpeg_quality(image, 50), x),
    "cast": lambda x: tf.cast(tf.cast(255.0 * x, tf.uint8), tf.float32),
    "hue": lambda x: tf.image.adjust_hue(tf.repeat(x, 3, axis=3), 0.1)[..., :1],  # its gradient raises LookupError
}


@pytest.mark.parametrize("name", NO_PATH)
@pytest.mark.parametrize(
    "wrap", [lambda run: run, lambda run: tf.function(run, autograph=False)], ids=["eager", "graph"]
)
def test_a_model_without_a_path_for_gradients_has_gradient_zero(name, wrap):
    def run():
        problem = Problem(lambda x: LINEAR(NO_PATH[name](x)), IMAGES, [0, 1])
        _, pullback = problem.pullback(IMAGES)
        value, gradient = problem.value_and_gradient(objectives.margin, IMAGES)
        return value, gradient, pullback(tf.one_hot([0, 1], 2))

    value, *gradients = wrap(run)()
    assert np.isfinite(value).all()
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, np.zeros_like(IMAGES))


def test_a_mistake_in_a_gradient_of_the_users_is_no_missing_path():
    @tf.custom_gradient
    def broken(x):
        return x, lambda upstream: {}["missing"]

    with pytest.raises(KeyError, match="missing"):
        Problem(lambda x: LINEAR(broken(x)), IMAGES, [0, 1]).value_and_gradient(objectives.margin, IMAGES)


@pytest.mark.parametrize("objective", [objectives.margin, objectives.cross_entropy, objectives.dlr])
def test_nan_is_never_a_success_nor_the_best(objective):
    logits = tf.constant([[np.nan, 0.0, 5.0], [0.0, np.nan, 1.0], [9.0, 5.0, np.nan], [0.0, 5.0, 9.0]])
    problem = Problem(lambda images: logits, np.tile(IMAGES, [2, 1, 1, 1]), [1, 1, 1, 1])
    for asked in (problem, problem.toward([2, 2, 2, 2]), problem.toward([0, 0, 0, 2])):
        np.testing.assert_array_equal(asked.predictions(asked.images), [-1, -1, -1, 2])
        np.testing.assert_array_equal(asked.succeeds(asked.images), [False, False, False, True])
        np.testing.assert_array_equal(asked.margin_of(logits) > 0, [False, False, False, True])
        assert (asked.value_of(objective, logits)[:3] == float("-inf")).numpy().all()


def test_attacks_follow_what_is_finite_of_a_gradient():
    gradient = tf.constant([np.nan, np.inf, -np.inf, 1.0, 2.0, 3.0], shape=[1, *SHAPE])

    @tf.custom_gradient
    def steep(x):
        return x, lambda upstream: tf.repeat(gradient, 2, axis=0)

    problem = Problem(lambda x: LINEAR(steep(x)), IMAGES, [0, 1])
    raw = problem.value_and_gradient(objectives.margin, IMAGES)[1]
    np.testing.assert_array_equal(raw[0], gradient[0])
    found = problem.replace(guarded=True).value_and_gradient(objectives.margin, IMAGES)[1]
    np.testing.assert_allclose(tf.reshape(found[0], [-1]), [0.0, 1e15, -1e15, 1.0, 2.0, 3.0])


MATRIX = tf.random.stateless_normal([6, 4], [5, 6])


def directions(scale, objective, x=IMAGES, guarded=True):
    """Gradients of unit length at x, of logits whose clean ones are `scale` apart."""
    logits = tf.reshape(IMAGES, [-1, 6])[:1] @ MATRIX
    spread = tf.reduce_max(logits) - tf.reduce_min(logits)
    problem = Problem(
        lambda x: scale / spread * (tf.reshape(x, [-1, 6]) @ MATRIX), IMAGES, [0, 1], guarded=guarded
    ).opened()
    gradient = tf.reshape(problem.value_and_gradient(objective, x)[1], [2, 6])
    return gradient / tf.norm(gradient, axis=1, keepdims=True)


@pytest.mark.parametrize("objective", [objectives.cross_entropy, objectives.log_odds])
def test_cross_entropy_keeps_its_direction_whatever_the_size_of_the_logits(objective):
    x = IMAGES + np.linspace(0.0, 0.3, 6, dtype="float32").reshape(SHAPE)
    margin = directions(1.0, objectives.margin, x)
    for small in (1e-6, 0.02, 1.0, 14.0):  # as if they were 15 apart
        np.testing.assert_allclose(directions(small, objective, x), directions(15.0, objective, x), atol=1e-4)
    for large in (200.0, 20_000.0):  # the true cross-entropy is 0 there, and its gradient
        np.testing.assert_allclose(directions(large, objective, x), margin, atol=1e-4)
    assert np.abs(directions(0.02, objective, x, guarded=False) - margin).max() > 0.1  # the model's own


def test_cross_entropy_toward_a_goal_and_of_equal_logits_is_finite():
    flat = Problem(lambda x: 0.0 * LINEAR(x), IMAGES, [0, 1], guarded=True).opened()
    for problem in (flat, flat.toward([1, 0])):
        value, gradient = problem.value_and_gradient(objectives.cross_entropy, IMAGES)
        np.testing.assert_allclose(value, [0.0, 0.0], atol=1e-6)
        np.testing.assert_array_equal(gradient, np.zeros_like(IMAGES))
