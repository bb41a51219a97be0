"""Images that fool as they are and as JPEG files."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import attacks, balls, data, objectives
from tfrobust.attacks.problem import Problem
from tfrobust.attacks.surviving import SurvivingProblem, as_jpeg
from tfrobust.errors import InputError

SIZE = 16
FLAT = np.full([1, SIZE, SIZE, 3], 0.5, "float32")
CHECKERS = np.where(np.indices([SIZE, SIZE]).sum(axis=0) % 2, 1.0, -1.0).astype("float32")[None, :, :, None]


def fine_or_coarse(images):
    """Class 1 for a fine pattern, which a JPEG file loses, class 2 for half as much of brightness, which it keeps."""
    fine, coarse = (tf.reduce_mean(shape * (images - 0.5), axis=[1, 2, 3]) for shape in (CHECKERS, 1.0))
    return tf.stack([tf.fill(tf.shape(fine), 0.02), fine, coarse / 2.0 + 0.005], axis=1)


def fooled(model, images, labels):
    return np.argmax(model(tf.constant(images)), axis=1) != labels


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quality", [30, 95])
def test_a_jpeg_file_holds_what_is_read_from_it(channels, quality):
    images = np.random.default_rng(0).random([3, 12, 10, channels], dtype="float32")
    pixels = np.round(255 * images).astype("uint8")
    written = [tf.io.encode_jpeg(one, quality=quality) for one in pixels]
    expected = np.stack([data.decode(one, channels).numpy() for one in written]) / np.float32(255)
    np.testing.assert_array_equal(as_jpeg(tf.constant(images), quality), expected)
    images[0, 0, 0, 0] = np.nan
    assert np.isfinite(as_jpeg(tf.constant(images), quality)).all()


def test_the_gradient_goes_straight_through_the_file():
    weights = tf.random.stateless_normal([2, 8, 8, 3], [0, 1])
    images = tf.Variable(tf.random.stateless_uniform([2, 8, 8, 3], [0, 2]))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(weights * as_jpeg(images, 50))
    np.testing.assert_array_equal(tape.gradient(total, images), weights)


def test_it_finds_what_the_file_keeps_where_the_attack_alone_takes_what_it_loses():
    images, labels = (FLAT + 0.01 * CHECKERS).astype("float32"), np.zeros(1, int)
    attack = attacks.apgd(balls.L2(1.0), steps=20, objective=objectives.margin)
    alone = attack(fine_or_coarse, images, labels, seed=0)
    assert fooled(fine_or_coarse, alone, labels).all() and not fooled(fine_or_coarse, as_jpeg(alone, 20), labels).any()
    both = attacks.Surviving(attack, jpeg=20)(fine_or_coarse, images, labels, seed=0)
    assert fooled(fine_or_coarse, both, labels).all() and fooled(fine_or_coarse, as_jpeg(both, 20), labels).all()
    assert balls.L2(1.0).contains(both - images).numpy().all()


IMAGES = classifiers.random_images(12)
NETWORK = classifiers.smooth_network()
LABELS = np.argmax(NETWORK(IMAGES), axis=1).astype("int32")


@pytest.mark.parametrize(
    "text",
    [
        "pgd(linf(0.2), steps=10)",
        "surviving(pgd(linf(0.2), steps=10), jpeg=95)",
        "square(linf(0.3), queries=40)",
        "hop_skip_jump(linf, steps=2, samples=10)",
        "targeted(pgd(linf(0.3), steps=10), goal=2)",
    ],
)
def test_every_success_is_one_of_each_file(text):
    problem = Problem(NETWORK, IMAGES, LABELS, keys=tf.zeros([len(LABELS), 2], tf.int32))
    attack = attacks.Surviving(attacks.parse(text), jpeg=60)
    posed = attack.posed(problem)
    made = attack.solve(problem)
    success = posed.succeeds(made).numpy()
    assert success.any()
    plain = attack.attack.aim(problem)
    for shown in [made, as_jpeg(made, 60), *([as_jpeg(made, 95)] if "95" in text else [])]:
        assert plain.succeeds(shown).numpy()[success].all()


def test_the_harder_of_both_answers_is_seen():
    """By the margin of what is wanted; an answer that is not a number is the hardest."""
    problem = SurvivingProblem(lambda images: tf.reduce_mean(images, axis=[1, 2]), FLAT, [0]).surviving(80)
    bright = np.concatenate([FLAT[..., :1] * 1.2, FLAT[..., :1], FLAT[..., :1] * 0.9], axis=-1).astype("float32")
    plain, file = (problem.margin_of(tf.reduce_mean(one, axis=[1, 2])) for one in (bright, as_jpeg(bright, 80)))
    assert plain.numpy() != file.numpy()
    np.testing.assert_allclose(problem.margin(tf.constant(bright)), tf.minimum(plain, file))

    def nothing(images):
        scores = tf.reduce_mean(images, axis=[1, 2])
        return tf.where(tf.reduce_all(images == bright), scores, float("nan"))

    assert not problem.replace(model=nothing).succeeds(tf.constant(bright)).numpy().any()


def test_its_gradient_is_that_of_the_harder_answer():
    problem = SurvivingProblem(fine_or_coarse, FLAT, [0]).surviving(50)
    x = tf.constant(np.clip(FLAT + 0.05 * CHECKERS, 0, 1))
    _, gradient = problem.value_and_gradient(objectives.margin, x)
    _, expected = Problem(fine_or_coarse, FLAT, [0]).value_and_gradient(objectives.margin, as_jpeg(x, 50))
    np.testing.assert_allclose(gradient, expected, atol=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        "budget(surviving({}), queries=25)",
        "surviving(budget({}, queries=25))",
        "surviving(surviving(budget({}, 25)), 90)",
    ],
)
def test_a_budget_counts_the_questions_about_files(text):
    asked = []

    def model(images):
        asked.append(len(images))
        return NETWORK(images)

    row = slice(0, 1)
    attacks.parse(text.format("square(linf(0.001), queries=200)"))(model, IMAGES[row], LABELS[row], seed=0)
    assert sum(asked) == 25


def test_pixels_that_may_not_change_are_in_the_file_all_the_same():
    """The file of an image differs beside what was changed in it."""
    pixels = np.zeros([1, SIZE, SIZE, 1], bool)
    pixels[:, :8, :8] = True
    seen = []

    def model(images):
        seen.append(images.numpy())
        return fine_or_coarse(images)

    noise = np.random.default_rng(0).random(FLAT.shape, dtype="float32")
    problem = SurvivingProblem(model, FLAT, [0]).confined(tf.constant(pixels)).surviving(50)
    problem.logits(tf.constant(noise))
    shown = np.where(pixels, noise, FLAT)
    np.testing.assert_array_equal(seen[-2], shown)
    np.testing.assert_array_equal(seen[-1], as_jpeg(tf.constant(shown), 50))


def test_images_that_no_jpeg_file_holds_are_refused():
    with pytest.raises(InputError, match="surviving: JPEG files have 1 or 3 channels, the images have 2"):
        attacks.Surviving(attacks.fgsm(balls.Linf(0.1)))(fine_or_coarse, FLAT[..., :2], [0], seed=0)
    with pytest.raises(InputError, match="surviving: jpeg must be a whole number from 1 to 100, got 101"):
        attacks.Surviving(attacks.fgsm(balls.Linf(0.1)), jpeg=101)
