"""What black-box attacks ask: answers in either form, sums over draws, and starts near the boundary."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import balls, seeds
from tfrobust.attacks import queries
from tfrobust.errors import InputError

LOGITS = np.array([[0.1, 2.0, -1.0], [5.0, 4.0, 4.5]], "float32")
SHAPE = (2, 3, 1)
GREY = np.full([3, *SHAPE], 0.5, "float32")


def bright(images, rows):
    """What the attacker wants: a mean above 0.6."""
    del rows
    return tf.reduce_mean(images, axis=[1, 2, 3]) > 0.6


def not_asked(images, *rest):
    raise AssertionError("a model was asked about no image at all")


@pytest.mark.parametrize("answer", [LOGITS, LOGITS.astype("float64"), np.array([1, 0]), np.array([1, 0], "int64")])
def test_predictions_come_from_logits_or_labels(answer):
    predicted = queries.predictions(lambda images: answer, np.zeros([2, *SHAPE], "float32"))
    assert predicted.dtype == tf.int32
    np.testing.assert_array_equal(predicted, [1, 0])


def test_nothing_is_asked_about_no_image():
    predicted = queries.predictions(not_asked, np.zeros([0, *SHAPE], "float32"))
    assert predicted.shape == [0] and predicted.dtype == tf.int32


def test_scores_are_float32():
    scores = queries.scores(lambda images: LOGITS.astype("float64"), None)
    assert scores.dtype == tf.float32
    np.testing.assert_array_equal(scores, LOGITS)


@pytest.mark.parametrize("targeted", [False, True])
def test_success_is_another_answer_or_the_goal(targeted):
    np.testing.assert_array_equal(
        queries.succeeds(tf.constant([1, 2]), tf.constant([1, 1]), targeted), [targeted, not targeted]
    )


@pytest.mark.parametrize("at_once", [1, 3, 7, 12, 33, 10_000])
def test_sums_over_draws_do_not_depend_on_how_many_images_are_shown_at_once(monkeypatch, at_once):
    """The same draws as one by one, each exactly once, at most `at_once` images in one call (or one per example)."""
    keys = tf.constant([[1, 2], [3, 4], [5, 6]])
    shown = []

    def function(rows, draw_keys):
        shown.append(len(rows))
        values = seeds.uniform(draw_keys, [4])
        return [values + tf.cast(rows, tf.float32)[:, None], tf.ones_like(rows, tf.float32)]

    monkeypatch.setattr(queries, "AT_ONCE", at_once)
    sums, counts = queries.sum_over_draws(function, keys, 11)
    one_by_one = sum(seeds.uniform(seeds.fold_in(keys, draw), [4]).numpy() for draw in range(11))
    np.testing.assert_allclose(sums, one_by_one + 11 * np.arange(3)[:, None], rtol=1e-5)
    np.testing.assert_array_equal(counts, [11, 11, 11])
    assert max(shown) <= max(at_once, 3) and sum(shown) == 33


def test_starts_are_none_an_array_or_a_file(tmp_path):
    path = tmp_path / "starts.npy"
    np.save(path, GREY.astype("float64"))
    assert queries.load_starts(None) is None
    for starts in (GREY, str(path)):
        loaded = queries.load_starts(starts)
        assert loaded.dtype == np.float32
        np.testing.assert_array_equal(loaded, GREY)


@pytest.mark.parametrize(
    "starts",
    [
        GREY[0],
        (GREY * 255).astype("uint8"),
        GREY + 1.0,
        GREY - 1.0,
        np.full_like(GREY, np.nan),
        "nowhere.npy",
    ],
    ids=["one image", "uint8", "above 1", "below 0", "nan", "no file"],
)
def test_other_starts_are_refused(starts):
    with pytest.raises(InputError, match=r"starts|nowhere"):
        queries.load_starts(starts)


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "starts.npy"
    path.write_text("not an array")
    with pytest.raises(InputError, match=r"not a readable \.npy file"):
        queries.load_starts(str(path))


def test_begin_finds_each_example_that_needs_a_start_its_first_one():
    """Example 1 is there already; the others take candidate 1, the first that does, as near as one halving allows."""
    images = GREY.copy()
    images[1] = 0.7
    given = np.stack([np.full(SHAPE, value, "float32") for value in (0.2, 0.9, 0.8)])
    rows, starts = queries.begin(bright, images, seeds.per_example(0, tf.range(3)), given=given, halvings=1)
    np.testing.assert_array_equal(rows, [0, 2])
    np.testing.assert_allclose(starts, np.full([2, *SHAPE], 0.7), rtol=1e-6)


def test_begin_draws_until_it_has_a_start_and_then_no_more():
    asked = []

    def above_the_mean(images, rows):
        asked.append(rows.numpy().tolist())
        return tf.reduce_mean(images, axis=[1, 2, 3]) > 0.55

    keys = seeds.per_example(0, tf.range(3))
    rows, starts = queries.begin(above_the_mean, GREY, keys, tries=100, halvings=0)
    np.testing.assert_array_equal(rows, [0, 1, 2])
    for row, start in zip(rows.numpy(), starts):
        drawn = [seeds.uniform(seeds.fold_in(keys[row : row + 1], attempt), SHAPE)[0] for attempt in range(100)]
        first = next(attempt for attempt, image in enumerate(drawn) if tf.reduce_mean(image) > 0.55)
        np.testing.assert_array_equal(start, drawn[first])
        assert sum(row in some for some in asked[1:]) == first + 1


def test_begin_leaves_out_examples_without_a_start():
    def only_the_last(images, rows):
        return bright(images, rows) & (rows == 2)

    given = np.ones([1, *SHAPE], "float32")
    rows, starts = queries.begin(only_the_last, GREY, seeds.per_example(0, tf.range(3)), given=given)
    np.testing.assert_array_equal(rows, [2])
    assert starts.shape == [1, *SHAPE]


def test_begin_refuses_starts_of_another_shape():
    with pytest.raises(InputError, match="starts must be images of shape"):
        queries.begin(bright, GREY, seeds.per_example(0, tf.range(3)), given=np.zeros([1, 3, 2, 1], "float32"))


@pytest.mark.parametrize("norm", [balls.L2, balls.Linf])
def test_bisection_ends_at_the_boundary_on_the_attackers_side(norm):
    """f = <w, x> + b. On the straight line it is linear; in the ball of radius r it is f(x) + <w, clip(delta, -r, r)>."""
    weights = np.arange(1.0, 7.0, dtype="float32").reshape(SHAPE) / 10
    images = classifiers.random_images(4, SHAPE, low=0.1, high=0.3)
    adversarial = classifiers.random_images(4, SHAPE, seed=1, low=0.7, high=0.9)

    def score(x):
        return tf.reduce_sum(x * weights, axis=[1, 2, 3]) - 1.05

    near = queries.toward_boundary(norm, lambda x: score(x) > 0, images, adversarial, 20)
    delta = adversarial - images
    assert (score(near) > 0).numpy().all()
    if norm is balls.L2:
        share = -score(images) / (score(adversarial) - score(images))
        expected = images + balls.per_example(share, delta) * delta
    else:
        assert (delta > 0).all()
        expected = images + np.stack([_clipped_to(-score(images)[i], delta[i], weights) for i in range(4)])
    np.testing.assert_allclose(near, expected, atol=1e-5)


def _clipped_to(rise, delta, weights):
    """The min(delta, r) with <weights, min(delta, r)> = rise, for positive delta: piecewise linear in r."""
    knots = np.concatenate([[0.0], np.sort(delta, axis=None)])
    heights = [(weights * np.minimum(delta, knot)).sum() for knot in knots]
    return np.minimum(delta, np.interp(rise, heights, knots))


def test_each_halving_is_one_query_and_none_leaves_the_start():
    asked = []
    images, adversarial = np.zeros([2, *SHAPE], "float32"), np.ones([2, *SHAPE], "float32")

    def succeeds_at(x):
        asked.append(len(x))
        return bright(x, None)

    np.testing.assert_array_equal(queries.toward_boundary(balls.L2, succeeds_at, images, adversarial, 0), adversarial)
    near = queries.toward_boundary(balls.L2, succeeds_at, images, adversarial, 3)
    assert asked == [2, 2, 2]  # at 0.5, 0.75 and 0.625
    np.testing.assert_allclose(near, np.full_like(adversarial, 0.625))
