"""Gradient overlap: the paper's table 2 and the reference maps, small networks counted by hand, and what is refused."""

import keras
import numpy as np
import pytest
from keras import layers

from tests.support import shared
from tfrobust import InputError, models
from tfrobust.analysis import checkerboard, checkerboard_share, gradient_overlap, pictures, top_pixels
from tfrobust.layers import FixedMask, LocalResponseNormalization
from tfrobust.models import masks

LAMS = (0, 1, 2, 5, 10, 20, 100, float("inf"))
TABLE_2 = {  # percent of the checkerboard in G(0.3), by lam
    "resnet18": (31.3, 34.4, 35.9, 44.9, 53.9, 63.3, 86.7, 100),
    "vgg11": (5.1, 63.3, 64.5, 66.8, 70.7, 75.4, 93.8, 100),
}


def sequential(*parts, shape=(4, 4, 1)):
    return keras.Sequential([keras.Input(shape), *parts])


@pytest.mark.parametrize("name", TABLE_2)
def test_all_shares_of_the_papers_table_come_out(name):
    network = models.build(name, padding="symmetric", ace=0.0)
    shares = []
    for lam in LAMS:
        models.enhancer(network).set_lam(lam)
        shares.append(round(100 * checkerboard_share(gradient_overlap(network)) + 1e-9, 1))
    assert shares == list(TABLE_2[name])


GOLDEN = [
    *(("ace_toy", lam, {}) for lam in (0, 10)),
    *(("vgg11", lam, {"padding": padding}) for lam in (0, 10) for padding in ("same", "symmetric")),
    *(("resnet18", lam, {"padding": padding}) for lam in (0, 10) for padding in ("same", "symmetric")),
]


@shared.needs_golden
@pytest.mark.parametrize("name, lam, arguments", GOLDEN)
def test_maps_and_shares_are_those_of_the_reference(name, lam, arguments):
    reference = shared.golden("ace_overlap")
    network = models.build(name, ace=float(lam), **arguments)
    found = gradient_overlap(network)
    centered = name == "resnet18" and arguments["padding"] == "symmetric"
    key = f"{name}{'_padding1' if centered else ''}_lam{lam}"
    np.testing.assert_allclose(found, reference[key], atol=1e-9)
    count, of = reference[f"share_{key}"]
    assert checkerboard_share(found) == count / of


@shared.needs_golden
def test_literal_weights_let_the_checkerboard_fill_the_top_pixels():
    """16 hidden channels and 3 of the image: 48 paths."""
    reference = shared.golden("ace_overlap")
    found = gradient_overlap(models.vgg11(insert=models.Ace(10.0)), path_weight=48)
    np.testing.assert_allclose(found, reference["vgg11_lam10_literal_hidden16"], atol=1e-9)
    assert checkerboard_share(found) == 1


def test_a_module_before_a_network_of_other_make_counts_as_one_in_it():
    inside, before = models.vgg11(insert=models.Ace(5.0)), models.with_ace(models.vgg11(), lam=5.0)
    np.testing.assert_allclose(gradient_overlap(inside), gradient_overlap(before), rtol=1e-9)
    network = models.with_ace(sequential(layers.Flatten(), layers.Dense(3)), lam=108.0)
    # Every pixel reaches itself, and those of C the 3x3 pixels below and right of them, as far as there are any.
    paths = np.ones((4, 4))
    paths[::2, ::2] += [[9, 6], [6, 4]]
    np.testing.assert_allclose(gradient_overlap(network), paths / 10)


@pytest.mark.parametrize("network, expected", [
    (sequential(layers.Conv2D(5, 1, 2), layers.Flatten(), layers.Dense(3)), [[1, 0, 1, 0], [0] * 4] * 2),
    (sequential(layers.DepthwiseConv2D(3, depth_multiplier=2), layers.GlobalAveragePooling2D()), np.outer([1, 2, 2, 1], [1, 2, 2, 1]) / 4),
    (sequential(layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(2)), [[1, 0, 1, 0], [0] * 4] * 2),
    (sequential(layers.Conv2D(2, 3, padding="same"), layers.MaxPooling2D(4), layers.Flatten()), [[1, 1, 1, 0]] * 3 + [[0] * 4]),
    (sequential(layers.AveragePooling2D((4, 2)), layers.ZeroPadding2D(1), layers.Flatten(), layers.Dense(2)), np.ones((4, 4))),
], ids=["convolution", "depthwise", "ties", "maximum", "average"])  # fmt: skip
def test_layers_are_counted_by_hand(network, expected):
    np.testing.assert_allclose(gradient_overlap(network), expected)


def test_the_two_ways_of_a_residual_block_add_up():
    """Of each channel: 1 past the convolution, and as many through it as it has channels, at each of its 9 places."""
    image = keras.Input((3, 3, 3))
    x = layers.Add()([image, layers.Conv2D(3, 3, padding="same")(image)])
    network = keras.Model(image, layers.Dense(2)(layers.Flatten()(x)))
    through = 3 * np.outer([2, 3, 2], [2, 3, 2])
    np.testing.assert_allclose(gradient_overlap(network), (1 + through) / 28)
    image = keras.Input((3, 3, 3))
    x = layers.Concatenate()([image, layers.Conv2D(5, 3, padding="same")(image)])
    network = keras.Model(image, layers.Dense(2)(layers.Flatten()(x)))
    through = 5 * np.outer([2, 3, 2], [2, 3, 2])
    np.testing.assert_allclose(gradient_overlap(network), (1 + through) / 46)


def test_what_mixes_nothing_does_not_count():
    weights = layers.Conv2D(4, 3, 2), layers.Flatten(), layers.Dense(2)
    beside = (
        *(layers.Rescaling(2.0), weights[0], layers.BatchNormalization(), layers.ReLU(), layers.Dropout(0.5)),
        *(FixedMask(0.5, seed=0), LocalResponseNormalization(), *weights[1:]),
    )
    one, other = (gradient_overlap(sequential(*parts, shape=(9, 9, 3))) for parts in (weights, beside))
    np.testing.assert_array_equal(one, other)
    plain, masked = (models.lenet(insert=masks.parse(text)) for text in ("", "shallow=0.5"))
    np.testing.assert_array_equal(gradient_overlap(plain), gradient_overlap(masked))


@pytest.mark.parametrize("name", ["senet18", "vgg11"])
def test_paddings_differ_where_a_stride_meets_an_even_size(name):
    def overlap(size, padding):
        return gradient_overlap(models.build(name, input_shape=(size, size, 3), padding=padding, width=4))

    same, symmetric = overlap(32, "same"), overlap(32, "symmetric")
    assert np.allclose(same, symmetric) == (name == "vgg11")
    np.testing.assert_allclose(overlap(33, "same"), overlap(33, "symmetric"), atol=1e-12)


@pytest.mark.parametrize("name", ["densenet121", "nin", "alexnet"])
def test_every_family_can_be_counted(name):
    """Also where float64 could not hold the number of paths."""
    found = gradient_overlap(models.build(name))
    assert found.shape == models.input_shape(name)[:2] and found.max() == 1 and found.min() >= 0


def test_top_pixels_are_those_above_the_border():
    overlap = np.array([[4.0, 3.0, 2.0], [2.0, 1.0, 0.0]])
    for fraction, count in ((0.1, 0), (0.34, 1), (0.5, 2), (0.67, 2), (0.84, 4), (1.0, 6)):
        assert top_pixels(overlap, fraction).sum() == count
    np.testing.assert_array_equal(top_pixels(overlap + 1e-14 * np.arange(6).reshape(2, 3), 0.67), overlap > 2)


def test_the_checkerboard_is_every_second_pixel_of_every_second_row():
    assert checkerboard((5, 4))[::2, ::2].all() and checkerboard((5, 4)).sum() == 6
    assert checkerboard_share(checkerboard((8, 8)) + 0.0, 0.3) == 1
    assert checkerboard_share(1.0 - checkerboard((8, 8)), 0.8) == 0


def test_the_picture_is_a_png_file():
    assert pictures.overlap(gradient_overlap(models.ace_toy())).startswith(b"\x89PNG")


class Subclassed(keras.Model):
    def call(self, images):
        return images


@pytest.mark.parametrize("wrong, said", [
    (lambda: gradient_overlap(sequential(layers.Reshape((16,)), layers.Dense(2))), "no paths are counted through reshape"),
    (lambda: gradient_overlap(Subclassed()), "functional or sequential"),
    (lambda: gradient_overlap(models.ace_toy(), path_weight=-1), "at least 0"),
    (lambda: top_pixels(np.ones((2, 2)), 0), "share of the pixels"),
    (lambda: models.resnet18(padding="valid"), "same, symmetric; got 'valid'"),
])  # fmt: skip
def test_what_cannot_be_counted_is_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        wrong()
