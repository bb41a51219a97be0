"""Square: what is proposed, the schedule, and the search against answers that are known."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import attacks, balls, seeds
from tfrobust.attacks.score import square
from tfrobust.errors import InputError

SHAPE = (12, 10, 3)


def keys(count, seed=0):
    return seeds.per_example(seed, tf.range(count))


def proposed(count=400, side=4, clean=None, x=None):
    clean = tf.fill([count, *SHAPE], 0.5) if clean is None else clean
    x = square._stripes(keys(count, 1), clean, 0.1) if x is None else x
    return x.numpy(), square._square(keys(count), clean, x, 0.1, side).numpy()


def test_stripes_are_vertical_and_fill_the_ball():
    clean = tf.fill([50, *SHAPE], 0.5)
    delta = (square._stripes(keys(50), clean, 0.1) - clean).numpy()
    np.testing.assert_allclose(np.abs(delta), 0.1, atol=1e-6)
    assert (delta == delta[:, :1]).all() and len(np.unique(np.sign(delta[:, 0]), axis=0)) == 50


def test_a_square_has_one_sign_per_channel_and_differs_from_what_was_there():
    x, candidate = proposed()
    for before, after in zip(x, candidate):
        changed = np.argwhere((before != after).any(axis=-1))
        (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
        assert bottom - top < 4 and right - left < 4 and len(changed) > 0
    solid, again = proposed(x=tf.fill([400, *SHAPE], 0.6))  # one of eight sign patterns would change nothing
    kinds = [tuple(np.sign(b - 0.5)[(a != b).any(axis=-1)][0]) for a, b in zip(solid, again)]
    assert (1.0, 1.0, 1.0) not in kinds and len(set(kinds)) == 7


def test_squares_reach_every_place_and_are_each_examples_own():
    x, candidate = proposed(count=3000, side=3)
    share = (x != candidate).any(axis=-1).mean(axis=0)
    assert (share > 0).all()
    corners = {tuple(np.argwhere((a != b).any(axis=-1)).max(axis=0)) for a, b in zip(x, candidate)}
    assert (11, 9) in corners and len(corners) >= 80


def test_sides_follow_the_schedule_squeezed_into_the_queries():
    def sides(**arguments):
        return attacks.Square(balls.Linf(0.1), **arguments)._sides((None, 28, 28, 1), odd=False)

    full = sides(queries=10_000)
    halved = [0, 11, 51, 201, 501, 1001, 2001, 4001, 6001, 8001]
    assert [full[step] for step in halved] == [round(np.sqrt(0.8 / 2**n) * 28) for n in range(10)]
    assert [full[step - 1] != full[step] for step in halved[1:8]] == [True] * 7
    np.testing.assert_array_equal(sides(queries=1000), full[::10])
    np.testing.assert_array_equal(sides(queries=1000, schedule=10_000), full[:1000])
    odd = attacks.Square(balls.L2(1.0))._sides((None, 28, 28, 1), odd=True)
    assert set(odd % 2) == {1} and odd.min() == 3 and odd[0] == 25


@pytest.mark.parametrize("side", [1, 2, 3, 5, 8])
def test_two_bumps_have_norm_one_and_opposite_signs(side):
    assert np.abs(square.two_bumps(side, balls.L1)).sum() == pytest.approx(1.0, rel=1e-5)
    bumps = square.two_bumps(side)
    assert bumps.shape == (side, side)
    np.testing.assert_allclose(np.sum(bumps**2), 1.0, rtol=1e-6)
    assert (bumps[: side // 2] > 0).all() and (bumps[side // 2 :] < 0).all()


def test_two_bumps_are_nested_squares():
    """A rectangle of 2 x 5: its middle (1, 2) lies in squares of sides 1, 3 and 5, the far column in the last only."""
    nested = np.array([[1 / 4 + 1 / 9, 1 + 1 / 4 + 1 / 9, 1 / 9]])
    upper = square.two_bumps(5)[:2]
    np.testing.assert_allclose(upper[1, 2] / upper[1, 4], nested[0, 1] / nested[0, 2], rtol=1e-5)
    np.testing.assert_allclose(upper[0, 2] / upper[1, 4], nested[0, 0] / nested[0, 2], rtol=1e-5)


@pytest.mark.parametrize("norm", [balls.L2, balls.L1])
def test_mass_moves_to_the_receiving_square_and_the_ball_is_filled(norm):
    clean, bumps = tf.fill([60, *SHAPE], 0.5), square._Bumps(norm)
    start = bumps.start(keys(60, 1), clean, 0.7)
    np.testing.assert_allclose(norm.size(start - clean), [0.7] * 60, rtol=1e-5)
    half = clean + 0.5 * (start - clean)  # half of the radius is unused
    patterns = bumps.patterns(np.array([3, 5]))
    moved = bumps.move(patterns, keys(60), clean, half, 0.7, tf.constant(3)) - clean
    np.testing.assert_allclose(norm.size(moved), [0.7] * 60, rtol=1e-5)
    if norm is balls.L1:  # whose projection empties more
        return
    emptied = ((moved == 0.0) & (start != clean)).numpy().any(axis=-1)
    assert np.median(emptied.sum(axis=(1, 2))) > 0 and emptied.sum(axis=(1, 2)).max() <= 9


@pytest.mark.parametrize("ball", [balls.Linf(0.05), balls.L2(0.3)])
def test_the_margin_never_falls_and_only_the_rest_is_asked_about(ball):
    network, images = classifiers.smooth_network(), classifiers.random_images(30)
    labels, rows = np.argmax(network(images), axis=1), []

    def python_scores(x):
        rows.append(len(x))
        return network(x.numpy()).numpy().tolist()  # nothing of TensorFlow comes back

    def margins(queries):
        adversarial = attacks.Square(ball, queries=queries, schedule=100)(python_scores, images, labels, seed=2)
        scores = network(adversarial).numpy()
        own = scores[np.arange(30), labels]
        scores[np.arange(30), labels] = -np.inf
        return scores.max(axis=1) - own

    short, long = margins(10), margins(60)
    # The first ten queries are the same: what is broken stays, what is not gets nearer.
    assert (long >= short - 1e-6).all() and (long > short).any()
    assert rows[11] == 30 and rows[-1] < 30
    assert len(rows) <= (1 + 10) + (1 + 60)


def test_restarts_run_on_the_survivors_with_other_squares():
    network, images = classifiers.smooth_network(), classifiers.random_images(30)
    labels = np.argmax(network(images), axis=1)

    def broken(restarts):
        attack = attacks.Square(balls.Linf(0.03), queries=15, restarts=restarts)
        return np.argmax(network(attack(network, images, labels, seed=0)), axis=1) != labels

    once, often = broken(1), broken(4)
    assert often.sum() > once.sum() and (often | ~once).all()


@pytest.mark.parametrize("shape", [(1, 2, 1), (3, 7, 2), (9, 2, 1)])
@pytest.mark.parametrize("ball", [balls.Linf(0.1), balls.L2(0.2)])
def test_small_and_flat_images(shape, ball):
    weights = np.random.default_rng(0).normal(size=shape)
    logits_fn = classifiers.two_class_linear(weights, bias=5.0)
    images = classifiers.random_images(4, shape, low=0.4, high=0.6)
    attack = tf.function(attacks.Square(ball, queries=200), autograph=False)
    delta = attack(logits_fn, images, np.zeros(4, "int32"), seed=0) - images
    reached = -tf.reduce_sum(delta * weights, axis=[1, 2, 3]).numpy() / (
        ball.radius * float(ball.dual(weights[None])[0])
    )
    assert (ball.size(delta).numpy() <= ball.radius * (1 + 1e-5)).all() and (reached > 0.4).all()


@pytest.mark.parametrize("arguments", [{"queries": 0}, {"p": 0.0}, {"p": 1.5}, {"restarts": 0}, {"schedule": 0}])
def test_senseless_settings_are_refused(arguments):
    with pytest.raises(InputError, match=next(iter(arguments))):
        attacks.Square(balls.Linf(0.1), **arguments)
    with pytest.raises(InputError, match="square: ball must be a linf, l2 or l1 ball"):
        attacks.Square(balls.L0(1))


@pytest.mark.parametrize("ball", [balls.Linf(0.1), balls.L2(0.5)])
def test_where_only_some_pixels_may_change_they_have_the_whole_radius(ball):
    """From the start on: what the model is shown lies on the ball's surface, and changes these pixels alone."""
    shown, mask = [], np.zeros(SHAPE[:2], bool)
    mask[2:6, 3:9] = True

    def recorded(images):
        shown.append(images.numpy())
        return np.tile([[1.0, 0.0]], [len(images), 1]).astype("float32")

    images = np.full([2, *SHAPE], 0.5, "float32")
    attack = attacks.Restricted(attacks.Square(ball, queries=20), mask)
    attack(recorded, images, np.zeros(2, "int32"), seed=0)
    deltas = np.concatenate(shown[1:]) - 0.5
    assert len(deltas) == 2 * 20 and (deltas[:, ~mask] == 0).all()
    np.testing.assert_allclose(ball.size(deltas), ball.radius, rtol=1e-5)
