"""The spatial attack on a classifier of where the light is: closed forms of what rotations and translations reach."""

import numpy as np
import tensorflow as tf

import tfrobust as tfr
from tfrobust.attacks import Spatial


def halves(images):
    """Logits: the light in the upper and in the lower half."""
    return tf.stack([tf.reduce_sum(half, axis=[1, 2, 3]) for half in tf.split(images, 2, axis=1)], axis=1)


def bars(*rows):
    """Images 20x20 of a bar in one row each."""
    images = np.zeros([len(rows), 20, 20, 1], "float32")
    for image, row in zip(images, rows):
        image[row, 4:16] = 0.8
    return images


def run(attack, images, model=halves):
    labels = np.argmax(halves(images), axis=1).astype("int32")
    made = attack(model, images, labels, seed=0).numpy()
    return made, np.argmax(halves(made), axis=1) != labels


def test_a_translation_reaches_what_lies_within_it_and_no_more():
    """From row 7 it takes 3 rows to the lower half, from row 6 4."""
    images = bars(7, 6)
    for limit, expected in ((2.4, [False, False]), (3, [True, False]), (4, [True, True])):
        np.testing.assert_array_equal(run(Spatial(rotation=0, translation=limit), images)[1], expected)


def test_a_rotation_about_the_center_moves_a_bar_beside_it():
    """A bar off the axis in the upper right corner goes over the middle with 60 degrees, and not with 20."""
    images = np.zeros([1, 20, 20, 1], "float32")
    images[:, 4:7, 14:18] = 1.0
    assert not run(Spatial(rotation=20, translation=0), images)[1]
    assert run(Spatial(rotation=60, translation=0), images)[1]


def test_the_grid_has_both_ends_and_asks_no_point_twice():
    asked = []

    def model(images):
        asked.append(len(images))
        return halves(images) * tf.constant([1.0, 0.0]) + tf.constant([0.0, -1.0])  # nothing is broken

    images = bars(3)
    run(Spatial(rotation=30, translation=2, rotations=3, translations=5), images, model)
    assert len(asked) == 1 + 3 * 5 * 5
    asked.clear()
    run(Spatial(rotation=0, translation=2, rotations=31, translations=3), images, model)
    assert len(asked) == 1 + 3 * 3
    grid = Spatial(rotations=3, translations=2)._grid()
    assert {tuple(point) for point in grid} == {(a, b, c) for a in (-1, 0, 1) for b in (-1, 1) for c in (-1, 1)}


def test_an_image_that_stands_comes_back_as_the_worst_of_all():
    """That is the one whose bar lies lowest."""

    def heights(images):
        down = tf.range(20.0)[None, :, None, None]
        return tf.stack([tf.reduce_sum(images * weight, axis=[1, 2, 3]) for weight in (20.0 - down, down)], axis=1)

    made, broken = run(Spatial(rotation=0, translation=3), bars(5), heights)
    assert not broken and made[0, :, 10, 0].argmax() == 8


def test_random_draws_are_the_examples_own_and_more_of_them_break_more():
    images = bars(*[7] * 40)
    few, many = (run(Spatial(rotation=0, translation=5, samples=count), images) for count in (1, 40))
    assert 0 < few[1].sum() < many[1].sum() == 40
    assert len(np.unique(few[0].reshape(40, -1), axis=0)) == 40


def test_labels_are_enough():
    images = bars(7)
    assert run(Spatial(rotation=0, translation=3), images, lambda x: tf.argmax(halves(x), axis=1))[1]


def test_what_it_leaves_is_a_robust_accuracy_beside_no_ball():
    """It has no radius, and takes no part in the curves by radius."""
    images = np.repeat(bars(9, 8, 7, 6, 5), 2, axis=0) + np.float32(0.01)
    report = tfr.evaluate(
        halves, images, np.zeros(10, int), ["spatial(rotation=0)", "square(linf(0.1), queries=5)"], progress=False
    )
    row, _ = report.report["attacks"]
    assert row["robust_accuracy"] == 0.4 and row["norm"] is row["radius"] is None
    assert [worst["ball"] for worst in report.report["worst_case"]] == ["linf(0.1)"]
    assert set(report.report["curves"]) == {"linf"}
    assert "spatial(rotation=0)" in report.table() and "40.00%" in report.table()
