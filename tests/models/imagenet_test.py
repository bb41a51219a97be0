"""Networks for ImageNet: the weights that others published, and what they compute."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers, shared
from tfrobust import layers, models
from tfrobust.errors import InputError
from tfrobust.models import masks
from tfrobust.models.alexnet import _pooling

WEIGHTS = shared.FOLDER / "imagenet" / "efficientnet_lite0.npz"
needs_weights = pytest.mark.skipif(not WEIGHTS.is_file(), reason=f"needs {WEIGHTS}; set TFROBUST_SHARED")


@pytest.fixture(scope="module")
def lite0():
    network = models.efficientnet_lite0()
    with np.load(WEIGHTS) as arrays:
        models.assign(network, dict(arrays))
    return network


@needs_weights
@shared.needs_golden
def test_efficientnet_lite0_gives_the_golden_logits(lite0):
    with np.load(shared.GOLDEN / "efficientnet_lite0.npz") as golden:
        images, logits = golden["images"][:6], golden["logits"][:6]
    assert np.abs(lite0(images.astype("float32") / 255) - logits).max() < 1e-3


@needs_weights
def test_arrays_that_do_not_fit_are_named(lite0):
    with np.load(WEIGHTS) as file:
        arrays = dict(file)
    with pytest.raises(InputError, match=r"logits_kernel has shape \(1280, 1000\), expected \(1280, 10\)"):
        models.assign(models.efficientnet_lite0((32, 32, 3), 10), arrays)
    del arrays["block16_project_bn_gamma"]
    with pytest.raises(InputError, match="no array block16_project_bn_gamma"):
        models.assign(lite0, arrays)


@needs_weights
def test_masks_keep_the_published_weights():
    masked = models.efficientnet_lite0((32, 32, 3), insert=masks.parse("shallow=0.5"))
    kept = masked.get_layer("stem_bn_mask").kept.numpy()
    with np.load(WEIGHTS) as arrays:
        models.assign(masked, dict(arrays))
        np.testing.assert_array_equal(masked.get_layer("stem_conv").kernel, arrays["stem_conv_kernel"])
    np.testing.assert_array_equal(masked.get_layer("stem_bn_mask").kept, kept)


def test_alexnet_has_caffes_feature_maps():
    network = models.alexnet(width=12, classes=10)
    sizes = {name: network.get_layer(name).output.shape[1] for name in ("conv1", "pool1", "pool2", "pool5")}
    assert sizes == {"conv1": 55, "pool1": 27, "pool2": 13, "pool5": 6}
    assert network.get_layer("norm1").output is network.get_layer("pool1").input
    np.testing.assert_allclose(network.get_layer("preprocessing").mean * 255, (122.679, 116.669, 104.007), rtol=1e-6)


@pytest.mark.parametrize("size", [3, 4, 6, 7, 13])
def test_pooling_counts_what_is_left_over_at_the_end_as_caffe_does(size):
    x = classifiers.random_images(2, (size, size, 3), low=0, high=1)
    ends = range(0, size - 3 + 2, 2)  # windows begin at every second pixel until one reaches the last
    expected = np.array([[x[:, a : a + 3, b : b + 3].max(axis=(1, 2)) for b in ends] for a in ends])
    np.testing.assert_array_equal(_pooling(x, "pool"), np.moveaxis(expected, 2, 0))


def test_local_response_normalization_is_tensorflows_with_alpha_divided():
    x = tf.constant(classifiers.random_images(2, (3, 3, 7), low=-30, high=30))
    expected = tf.nn.local_response_normalization(x, depth_radius=2, bias=1.5, alpha=0.02 / 5, beta=0.75)
    layer = layers.LocalResponseNormalization(5, alpha=0.02, beta=0.75, bias=1.5)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5)
    again = layers.LocalResponseNormalization.from_config(layer.get_config())
    np.testing.assert_array_equal(again(x), layer(x))


def test_a_grouped_convolution_is_keras_own():
    x = tf.constant(classifiers.random_images(2, (5, 6, 6), low=-1, high=1))
    ours, theirs = (kind(8, 3, groups=2, padding="same") for kind in (layers.GroupedConv2D, keras.layers.Conv2D))
    ours.build(x.shape), theirs.build(x.shape)
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-5)


def test_strided_convolutions_of_imagenets_resnet_are_centered():
    """A shift of the image by the stride of the stem shifts its features by one; and a mirrored one mirrors them."""
    network = models.resnet18_imagenet((33, 33, 3), 10, width=4)
    x = classifiers.random_images(1, (33, 33, 3), low=0, high=1)
    stem = keras.Model(network.input, network.get_layer("stem_pool").output)
    kernel = network.get_layer("stem_conv").kernel
    kernel.assign((kernel + kernel[:, ::-1]) / 2)
    np.testing.assert_allclose(stem(x[:, :, ::-1]), stem(x)[:, :, ::-1], atol=1e-5)
    assert stem.output.shape[1:3] == (9, 9) and network.get_layer("stem_conv").kernel_size == (7, 7)


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory):
    """VGG-19 of keras.applications, for 32x32 and 5 classes, and its weights in a file."""
    owner = keras.applications.VGG19(weights=None, input_shape=(32, 32, 3), classes=5, classifier_activation=None)
    path = tmp_path_factory.mktemp("vgg") / "vgg19.weights.h5"
    owner.save_weights(path)
    return owner, path


def test_vgg19_of_keras_applications_answers_as_its_owner_has_it(vgg_file):
    owner, path = vgg_file
    network = models.vgg19_imagenet((32, 32, 3), 5, weights=path)
    assert network.input_shape == (None, 32, 32, 3)
    images = classifiers.random_images(2, (32, 32, 3), low=0, high=1)
    expected = owner(keras.applications.vgg19.preprocess_input(images * 255))
    np.testing.assert_allclose(network(images), expected, rtol=1e-4, atol=1e-4)
    masked = models.vgg19_imagenet((32, 32, 3), 5, insert=masks.parse("shallow=0.5"), weights=path)
    names = [layer.name for layer in masked.layers if isinstance(layer, layers.FixedMask)]
    assert names == [f"block{block}_conv{i}_mask" for block in (1, 2) for i in (1, 2)]
    assert str(masks.placement(masked)) == "shallow=0.5" and np.abs(masked(images) - expected).max() > 1e-6
    features = keras.Model(masked.input, masked.get_layer("block1_conv1_mask").output)(images).numpy()
    assert (features[:, ~masked.get_layer("block1_conv1_mask").kept.numpy()] == 0).all() and features.max() > 0


@pytest.mark.parametrize("text", ["shallow=0.5,kind=channel", "shallow=0.5,width=2"])
def test_channels_of_published_weights_cannot_change(text):
    with pytest.raises(InputError, match="channels of vgg19_imagenet"):
        models.vgg19_imagenet((32, 32, 3), 5, insert=masks.parse(text))


def test_weights_that_do_not_fit_are_refused_in_one_line(vgg_file, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        models.vgg19_imagenet((32, 32, 3), 5, weights=tmp_path / "missing.h5")
    (tmp_path / "text.weights.h5").write_text("no HDF5")
    for path in (tmp_path / "text.weights.h5", vgg_file[1]):
        with pytest.raises(InputError, match="vgg19_imagenet does not take the weights of"):
            models.vgg19_imagenet((32, 32, 3), 7, weights=path)


def test_vgg19_has_the_published_size():
    assert models.vgg19_imagenet().count_params() == 143_667_240


def test_resnet152_has_the_published_size_and_its_masks():
    network = models.resnet152_imagenet((32, 32, 3), insert=masks.parse("0=0.5,2=0.5"))
    assert sum(int(np.prod(weight.shape)) for weight in network.trainable_weights) == 60_268_520
    names = [layer.name for layer in network.layers if isinstance(layer, layers.FixedMask)]
    assert names == ["conv1_bn_mask", *(f"conv3_block{i}_2_bn_mask" for i in range(1, 9))]
    (after,) = (node.operation for node in network.get_layer("conv3_block1_2_bn_mask")._outbound_nodes)
    assert after.name == "conv3_block1_2_relu"
