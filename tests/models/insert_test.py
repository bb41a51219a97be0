"""Anything can be inserted between the layers of a network."""

import dataclasses

import keras
import numpy as np
import pytest

from tests.support import classifiers, networks
from tfrobust import models
from tfrobust.layers import Placement
from tfrobust.models import masks
from tfrobust.models.insert import Insert


@dataclasses.dataclass(frozen=True)
class Doubled(Insert):
    """Doubles what comes through, twice, in some blocks."""

    blocks: tuple
    factor: int = 1

    def layers(self, place):
        if place.block not in self.blocks:
            return []
        return [keras.layers.Rescaling(2.0, name=f"{place.name}_{time}") for time in ("once", "twice")]

    def channels(self, channels, place):
        return channels * self.factor if place.group == "deep" else channels


def scales(model):
    return [layer.name for layer in model.layers if isinstance(layer, keras.layers.Rescaling)]


def test_layers_stand_at_the_places_of_a_block_one_after_the_other():
    model = models.lenet(width=4, insert=Doubled(blocks=(1,)))
    assert scales(model) == ["conv2_once", "conv2_twice"]
    plain = models.lenet(width=4)
    plain.set_weights(model.get_weights())
    images = classifiers.random_images(3, (28, 28, 1))
    features = [keras.Model(one.input, one.get_layer("pool2").output)(images) for one in (model, plain)]
    np.testing.assert_allclose(features[0], 4 * features[1], rtol=1e-5)


@pytest.mark.parametrize("name", networks.MASKED)
def test_every_family_has_the_places_of_its_masks(name):
    """Whatever is inserted stands where masks would: those stand where the papers put them."""
    small = {**networks.narrow(name), "input_shape": (32, 32, 3)}
    masked = models.build(name, **small, insert=masks.parse("shallow=0.5,deep=0.5"))
    places = [layer.name.removesuffix("_mask") for layer in masked.layers if layer.name.endswith("_mask")]
    inserted = models.build(name, **small, insert=Doubled(blocks=range(8)))
    assert sorted(scales(inserted)) == sorted(f"{place}_{time}" for place in places for time in ("once", "twice"))


def test_the_number_of_channels_may_change_by_group():
    model = models.lenet(insert=Doubled(blocks=(), factor=3))
    assert [model.get_layer(name).filters for name in ("conv1", "conv2")] == [20, 150]


def test_a_model_keeps_no_text_of_what_has_none():
    assert not any(isinstance(layer, Placement) for layer in models.lenet(insert=Doubled(blocks=(0,))).layers)
