"""What all networks of the papers have in common."""

import itertools

import keras
import numpy as np
import pytest

from export import saved_model, tflite
from tests.support import classifiers, networks, shared
from tfrobust import data, models, targets
from tfrobust.errors import InputError
from tfrobust.layers import FixedMask, Placement
from tfrobust.models import densenet, masks

TRAINABLE = {
    "ace_toy": 848_426,
    "alexnet": 60_965_224,
    "convnet": 145_578,
    "densenet121": 6_956_298,
    "efficientnet_lite0": 4_652_008,  # with the others for ImageNet on its 1,000 classes
    "efficientnet_lite1": 5_416_680,
    "efficientnet_lite2": 6_092_072,
    "efficientnet_lite3": 8_197_096,
    "efficientnet_lite4": 13_006_568,
    "lenet": 431_080,  # with mlp and the two CNNs on MNIST, the others on CIFAR-10
    "madry_cnn": 3_274_634,
    "mlp": 469_160,
    "nin": 966_986,
    "resnet18": 11_173_962,
    "resnet18_imagenet": 11_689_512,
    "resnet50": 23_520_842,
    "resnet50_imagenet": 25_557_032,
    "senet18": 11_260_354,
    "small_cnn": 312_202,
    "vgg11": 9_231_114,
    "vgg19": 20_040_522,
    "wide_resnet32_4": 7_399_130,
}
IMAGES = classifiers.random_images(4, (32, 32, 3), low=0, high=1) * np.float32(
    [[[[0.1]]], [[[0.4]]], [[[0.7]]], [[[1]]]]
)
ALL_KINDS_OF_LAYERS = ("lenet", "senet18", "densenet121", "ace_toy", "mlp", "alexnet")  # fixed_mask_test has a ResNet


def small(name, **arguments):
    """A narrow network of that name; the dense blocks are short, too: the same parts in a tenth of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(densenet, "DEPTHS", (2, 1, 1, 1))
        network = models.build(name, **arguments, **networks.narrow(name))
    if name == "alexnet":  # whose initial weights are for many channels: little would come through
        for layer in network.layers:
            if layer.weights and not isinstance(layer, FixedMask):
                layer.kernel.assign(10 * layer.kernel)
    return network


@pytest.fixture(scope="module", params=ALL_KINDS_OF_LAYERS)
def model(request):
    """A narrow network, masked if it can be; its normalizations are those of its images, as after training."""
    keras.utils.set_random_seed(0)
    placement = {} if request.param == "mlp" else {"insert": masks.parse("shallow=0.7,deep=0.5,kind=same,seed=3")}
    network = small(request.param, input_shape=(32, 32, 3), mean=IMAGES[0], **placement)
    normalizations = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    random = np.random.default_rng(0)
    for layer in normalizations:
        layer.momentum = 0.0
        layer.gamma.assign(random.uniform(0.5, 1.5, layer.gamma.shape))
        layer.beta.assign(random.uniform(-0.5, 0.5, layer.beta.shape))
    network(IMAGES, training=True)
    for layer in normalizations:
        layer.momentum = 0.9
    return network


@pytest.mark.parametrize("name", TRAINABLE)
def test_has_the_papers_size(name):
    assert sum(int(np.prod(weight.shape)) for weight in models.build(name).trainable_weights) == TRAINABLE[name]


@pytest.mark.parametrize("name", networks.TESTED)
@pytest.mark.parametrize("shape, classes", [((36, 28, 1), 2), ((64, 64, 3), 7)])
def test_maps_images_to_logits(name, shape, classes):
    logits = small(name, input_shape=shape, classes=classes)(classifiers.random_images(3, shape))
    assert logits.shape == (3, classes) and not np.allclose(np.sum(logits, axis=1), 1)


@pytest.mark.parametrize("name", networks.MASKED)
def test_masks_change_the_logits_and_their_seed_matters(name):
    keras.utils.set_random_seed(0)
    images = classifiers.random_images(2, (28, 28, 1))
    plain = small(name, input_shape=(28, 28, 1))
    values = [plain(images)]
    for text in ("shallow=0.7", "shallow=0.7,seed=1")[: 2 if name == "lenet" else 1]:
        masked = small(name, input_shape=(28, 28, 1), insert=masks.parse(text))
        for layer in plain.layers:
            masked.get_layer(layer.name).set_weights(layer.get_weights())
        values.append(masked(images))
    assert all(not np.allclose(one, other, rtol=1e-3) for one, other in itertools.combinations(values, 2))


def test_saves_and_loads_with_its_masks(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(IMAGES), model(IMAGES))
    assert masks.placement(loaded) == masks.placement(model)


def test_clones_with_its_masks(model):
    clone = keras.models.clone_model(model)
    for ours, theirs in zip(model.layers, clone.layers, strict=True):
        if isinstance(ours, FixedMask):
            np.testing.assert_array_equal(theirs.kept, ours.kept)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone(IMAGES), model(IMAGES))
    assert masks.placement(clone) == masks.placement(model)


def test_exports_faithfully(model, tmp_path):
    """The same logits to 1e-4, where those of different images differ by much more.

    To TFLite, whose converter writes a SavedModel on its way; to the exporter's own SavedModel, the small ones.
    """
    (tmp_path / "model.tflite").write_bytes(tflite.convert(model))
    expected = model(IMAGES, training=False).numpy()
    assert np.abs(expected[0] - expected[1]).max() > 1e-2
    names = ["model.tflite"]
    if model.count_params() < 30_000:
        saved_model.write(model, tmp_path / "saved")
        names.append("saved")
    for name in names:
        assert np.abs(targets.load(tmp_path / name).predictor()(IMAGES) - expected).max() < 1e-4


def test_summary_shows_the_placement(model):
    lines = []
    model.summary(line_length=160, print_fn=lines.append)
    assert ("masks_shallow_0.7_deep_0.5_kind_same_seed_3" in "".join(lines)) == (model.name != "mlp")


def test_a_model_says_its_placement():
    placement = masks.parse("0=0.5,deep=0.25,kind=channel,width=2,seed=3")
    assert masks.placement(small("lenet", insert=placement)) == placement
    assert masks.placement(small("lenet")) == masks.NO_MASKS
    assert not any(isinstance(layer, Placement) for layer in small("lenet").layers)


@pytest.mark.parametrize("name", networks.MASKED)
def test_an_unknown_block_is_refused(name):
    with pytest.raises(InputError, match="no block 99"):
        small(name, insert=masks.parse("99=0.5"))


def test_mlp_has_no_blocks():
    with pytest.raises(InputError, match="no blocks that could be masked"):
        models.build("mlp", insert=masks.parse("shallow=0.5"))


def test_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"'lnet'.*lenet, madry_cnn"):
        models.build("lnet")


def test_an_argument_that_a_builder_does_not_take_is_refused():
    with pytest.raises(InputError, match="mlp takes no width"):
        models.build("mlp", width=4)


@shared.needs_golden
@shared.needs_data
def test_reference_lenet_classifies_mnist_as_in_the_paper():
    test = data.load("mnist", "test", data_dir=shared.DATA_DIR, download=False)
    predictions = shared.reference_lenet().predict(test.floats(), batch_size=500, verbose=0).argmax(axis=1)
    assert np.mean(predictions == test.labels) == 0.9902
