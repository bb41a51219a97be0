"""Digits, and the pipelines that feed networks."""

import numpy as np
import tensorflow as tf

from tfrobust import data


def test_digits_are_real_images_of_ten_classes_split_once_and_for_all():
    train, test = data.load("digits", "train"), data.load("digits", "test")
    assert train.images.shape == (1438, 28, 28, 1) and test.images.shape == (359, 28, 28, 1)
    assert train.images.dtype == np.uint8 and train.images.max() == 255
    np.testing.assert_allclose(train.mean_image(), train.floats().mean(axis=0), atol=1e-5)
    assert sorted(set(test.labels)) == list(range(10)) and test.classes == 10
    assert not {image.tobytes() for image in train.images} & {image.tobytes() for image in test.images}


def test_batches_are_float32_in_0_1_and_in_order():
    train = data.load("digits", "train").take(100)
    found = list(data.batches(train, 30))
    assert [len(labels) for _, labels in found] == [30, 30, 30, 10] and found[0][0].dtype == tf.float32
    np.testing.assert_allclose(np.concatenate([images for images, _ in found]), train.floats(), rtol=1e-6)


def epochs(**arguments):
    train = data.load("digits", "train").take(100)
    return [(images.numpy(), labels.numpy()) for images, labels in data.training_batches(train, 30, **arguments)]


def test_training_batches_are_shuffled_anew_in_each_epoch_but_alike_for_a_seed():
    found = epochs(seed=4, epochs=2)
    assert [len(labels) for _, labels in found] == [30] * 6
    first, second = (np.concatenate([labels for _, labels in part]) for part in (found[:3], found[3:]))
    assert (first != second).any()
    for (images, labels), (same_images, same_labels) in zip(found, epochs(seed=4, epochs=2), strict=True):
        np.testing.assert_array_equal(images, same_images)
        np.testing.assert_array_equal(labels, same_labels)
    assert (np.concatenate([labels for _, labels in epochs(seed=5)]) != first).any()


def test_training_batches_from_a_later_epoch_are_those_of_the_whole_run():
    whole = epochs(seed=4, epochs=3, augmentation=data.pad_crop_flip)
    rest = epochs(seed=4, epochs=3, first_epoch=2, augmentation=data.pad_crop_flip)
    assert len(rest) == 3
    for (images, _), (expected, _) in zip(rest, whole[6:], strict=True):
        np.testing.assert_array_equal(images, expected)


def test_an_iterator_before_does_not_change_the_order():
    """Keras looks at the data before it trains under some strategies."""
    batches = data.training_batches(data.load("digits", "train").take(100), 30, seed=4)
    first, again = ([labels.numpy() for _, labels in batches] for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_pad_crop_flip_shows_a_window_of_the_padded_image_mirrored_or_not():
    images = np.arange(1, 1 + 2 * 5 * 4).reshape(2, 5, 4, 1).astype("float32")
    windows = set()
    for seed in range(40):
        found = data.pad_crop_flip(tf.constant(images), [0, seed], padding=1).numpy()
        for image, result in zip(images, found):
            padded = np.pad(image, [(1, 1), (1, 1), (0, 0)])
            candidates = [
                (top, left, mirrored)
                for top in range(3)
                for left in range(3)
                for mirrored in (1, -1)
                if np.array_equal(padded[top : top + 5, left : left + 4][:, ::mirrored], result)
            ]
            assert len(candidates) == 1
            windows.add(candidates[0])
    assert len(windows) == 18  # all of them come
