"""ACE's module in front of networks: behind the preprocessing of ours, before all of others, which stay as they are."""

import keras
import numpy as np
import pytest

from tests.support import classifiers, networks
from tfrobust import InputError, layers, models
from tfrobust.models import masks

IMAGES = classifiers.random_images(3, (32, 32, 3), low=0, high=1)
MEAN = classifiers.random_images(1, (32, 32, 3), seed=1)[0]


def vgg(**arguments):
    keras.utils.set_random_seed(0)
    return models.build("vgg11", width=4, mean=MEAN, **arguments)


def foreign_networks():
    """A sequential and a functional one, without our preprocessing."""
    parts = [keras.layers.Rescaling(2.0, -1), keras.layers.Flatten(), keras.layers.Dense(4)]
    sequential = keras.Sequential([keras.Input((8, 8, 3)), *parts])
    return sequential, keras.Model(sequential.inputs[0], sequential.outputs[0])


@pytest.mark.parametrize("name", networks.TESTED)
def test_every_builder_has_it_behind_its_preprocessing(name):
    model = models.build(name, **networks.narrow(name), input_shape=(32, 32, 3), mean=MEAN, ace=10.0)
    (before,) = [node.operation for node in model.get_layer("ace")._inbound_nodes[0].parent_nodes]
    assert before is model.get_layer("preprocessing") and float(models.enhancer(model).lam) == 10


def test_masks_stand_behind_it_and_the_model_says_so():
    model = vgg(insert=masks.parse("shallow=0.5"), ace=10.0)
    assert str(masks.placement(model)) == "shallow=0.5"
    assert [layer.name for layer in model.layers if isinstance(layer, layers.FixedMask)] == [
        "group0_conv1_mask",
        "group1_conv1_mask",
    ]


def test_of_our_networks_it_sees_what_the_mean_was_subtracted_from():
    network = vgg(insert=masks.parse("shallow=0.5"))
    defended = models.with_ace(network, lam=3.0)
    seen = models.enhancer(defended)(IMAGES - MEAN)
    expected = network(np.array(seen) + MEAN)
    np.testing.assert_allclose(defended(IMAGES), expected, rtol=1e-4, atol=1e-5)
    assert np.abs(defended(IMAGES) - network(IMAGES)).max() > 1e-3
    assert str(masks.placement(defended)) == "shallow=0.5"
    np.testing.assert_array_equal(layers.origin(defended), MEAN)


@pytest.mark.parametrize("form", ["two_layers", "unet"])
def test_with_lam_zero_any_network_answers_as_before(form):
    for network, images in [(vgg(), IMAGES), *((other, IMAGES[:, :8, :8]) for other in foreign_networks())]:
        defended = models.with_ace(network, lam=0.0, form=form)
        np.testing.assert_allclose(defended(images), network(images), rtol=1e-5, atol=1e-6)
        models.enhancer(defended).set_lam(0.5)
        assert np.abs(defended(images) - network(images)).max() > 1e-4


@pytest.mark.parametrize("form", ["two_layers", "unet"])
def test_a_frozen_network_stays_as_it_is_while_the_module_trains(form):
    network = vgg()
    network.trainable = False
    before, answers = network.get_weights(), network(IMAGES).numpy()
    defended = models.with_ace(network, lam=0.5, form=form)
    module = models.enhancer(defended)
    assert {id(weight) for weight in defended.trainable_weights} == {id(weight) for weight in module.trainable_weights}
    start = [np.array(weight) for weight in module.trainable_weights]
    defended.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    defended.fit(IMAGES, np.arange(3), verbose=0)
    for weight, now in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, now)
    np.testing.assert_array_equal(network(IMAGES), answers)
    assert any(np.any(weight != now) for weight, now in zip(start, module.trainable_weights))


@pytest.mark.parametrize("form", ["two_layers", "unet"])
def test_saves_and_loads_with_its_lam(form, tmp_path):
    for network, images in (
        (vgg(insert=masks.parse("shallow=0.5")), IMAGES),
        (foreign_networks()[0], IMAGES[:, :8, :8]),
    ):
        defended = models.with_ace(network, form=form)
        models.enhancer(defended).set_lam(0.25)
        defended.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(loaded(images), defended(images))
        assert float(models.enhancer(loaded).lam) == 0.25


@pytest.mark.parametrize(
    "wrong, said",
    [
        (lambda: models.with_ace(vgg(), form="four_layers"), "two_layers, unet; got 'four_layers'"),
        (lambda: models.with_ace(vgg(), lam=10.0, form="unet"), r"in \[0, 1\]"),
        (lambda: models.with_ace(keras.Sequential([keras.layers.Dense(4)])), "expected a model of images"),
        (lambda: models.with_ace(keras.Sequential([keras.Input((5,)), keras.layers.Dense(4)])), "takes"),
        (lambda: models.build("vgg11", ace=-1.0), "at least 0"),
        (lambda: models.with_ace(vgg(ace=10.0)), "has an ACE module already"),
        (lambda: models.enhancer(vgg()), "has no ACE module"),
    ],
)
def test_what_it_cannot_go_before_is_refused_in_one_line(wrong, said):
    with pytest.raises(InputError, match=said) as error:
        wrong()
    assert "\n" not in str(error.value)
