"""A patch: where it lies, what training finds where the best one is known, and that it is used again."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import InputError, attacks, seeds
from tfrobust.attacks import AdversarialPatch, train_patch
from tfrobust.attacks.decision.adversarial_patch import put_on

IMAGES = np.random.default_rng(0).uniform(0.4, 0.6, [60, 12, 12, 3]).astype("float32")


def colors(images):
    """Logits: how much light each channel has."""
    return 3.0 * tf.reduce_sum(images, axis=[1, 2])


LABELS = np.argmax(colors(IMAGES), axis=1).astype("int32")


def disk(side, color=(1.0, 0.0, 0.0)):
    place = np.arange(side) - (side - 1) / 2
    alpha = np.hypot(place[:, None], place) <= side / 2
    return np.concatenate([np.tile(color, [side, side, 1]), alpha[..., None]], axis=-1).astype("float32")


def test_it_lies_whole_on_the_image_anywhere_and_changes_nothing_else():
    keys = seeds.per_example(0, tf.range(60))
    made = put_on(tf.constant(IMAGES), tf.constant(disk(5)), keys, 0.0, tf.ones([60])).numpy()
    covered = (made != IMAGES).any(axis=-1)
    area = disk(5)[..., 3].sum()
    light = (made - IMAGES)[..., 0].sum(axis=(1, 2))
    np.testing.assert_allclose(light, 0.5 * area, rtol=0.1)  # red from about 0.5 to 1, none of it lost at a side
    assert (covered.sum(axis=(1, 2)) < 2.2 * area).all()
    red = (made - IMAGES)[..., 0]
    rows = (red * np.arange(12)[:, None]).sum(axis=(1, 2)) / light
    assert rows.min() < 2.5 and rows.max() > 8.2 and len(np.unique(rows)) == 60


def test_a_larger_scale_covers_more():
    keys = seeds.per_example(0, tf.range(60))
    small, large = (
        put_on(tf.constant(IMAGES), tf.constant(disk(5)), keys, 22.5, tf.fill([60], scale)).numpy()
        for scale in (0.6, 1.8)
    )
    areas = [(made - IMAGES)[..., 0].sum(axis=(1, 2)).mean() for made in (small, large)]
    assert 7 < areas[1] / areas[0] < 11  # 9 times the area


@pytest.mark.parametrize("goal", [None, 1])
def test_training_finds_the_color_that_the_network_looks_for(goal):
    patch = train_patch(colors, IMAGES, LABELS, 4, goal=goal, steps=60, progress=False)
    assert patch.shape == (4, 4, 4) and set(np.unique(patch[..., 3])) == {0, 1}
    np.testing.assert_array_equal(patch, np.round(patch * 255) / np.float32(255))
    shown = patch[..., :3][patch[..., 3] > 0]
    if goal is not None:
        assert (shown[:, 1] > 0.9).mean() > 0.9 and (shown[:, [0, 2]] < 0.2).mean() > 0.9
    attack = AdversarialPatch(patch, samples=1)
    other = goal != LABELS
    made = attack(colors, IMAGES[other], LABELS[other], seed=7)  # places that training has not drawn
    found = np.argmax(colors(made), axis=1)
    share = (found == goal).mean() if goal is not None else (found != LABELS[other]).mean()
    assert share > (
        0.95 if goal is not None else 0.6
    )  # one patch for three labels: of one color it cannot fool its own


def test_the_same_seed_trains_the_same_patch():
    one, same, other = (
        train_patch(colors, IMAGES, LABELS, 4, goal=1, steps=3, seed=s, progress=False) for s in (0, 0, 1)
    )
    assert (one == same).all() and (one != other).any()


def test_more_places_break_more():
    patch = disk(2, (0.0, 1.0, 0.0))
    images = np.clip(IMAGES * [1.4, 1.0, 0.6], 0, 1).astype("float32")  # all red
    images[:, :, 6:, 0] = 0.0

    def left(images):
        return colors(images[:, :, :6])

    labels = np.zeros(60, "int32")
    broken = [
        (
            np.argmax(left(AdversarialPatch(patch, scale=2.0, samples=count)(left, images, labels, seed=0)), axis=1)
            != 0
        ).mean()
        for count in (1, 10)
    ]
    assert broken[0] <= broken[1]


def test_a_patch_that_does_not_go_on_the_images_is_refused():
    for patch in (disk(13), disk(3)[..., :2]):
        with pytest.raises(InputError, match="does not go on images of 12x12x3"):
            AdversarialPatch(patch)(colors, IMAGES, LABELS, seed=0)
    with pytest.raises(InputError, match="no image of another class"):
        train_patch(colors, IMAGES, np.ones(60, int), 3, goal=1, progress=False)
    with pytest.raises(InputError, match="scales must rise"):
        train_patch(colors, IMAGES, LABELS, 3, scales=(2, 1), progress=False)


def test_it_is_read_from_its_file(tmp_path):
    np.save(tmp_path / "patch.npy", disk(3))
    attack = attacks.parse(f"adversarial_patch({str(tmp_path / 'patch.npy')!r})")
    np.testing.assert_array_equal(
        attack(colors, IMAGES, LABELS, seed=0), AdversarialPatch(disk(3))(colors, IMAGES, LABELS, seed=0)
    )
