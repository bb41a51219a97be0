"""Residual networks and where their masks stand; models_test.py has what they share with the others."""

import keras
import numpy as np
import pytest

from tests.support import classifiers
from tfrobust.layers import FixedMask
from tfrobust.models import masks, resnet


def mask_names(model):
    return [layer.name for layer in model.layers if isinstance(layer, FixedMask)]


@pytest.mark.parametrize("builder", [resnet.resnet18, resnet.resnet50])
@pytest.mark.parametrize("shape, classes", [((28, 28, 1), 10), ((64, 64, 3), 4)])
def test_maps_images_to_logits(builder, shape, classes):
    model = builder(shape, classes, width=4, insert=masks.parse("shallow=0.7"))
    assert model(classifiers.random_images(2, shape)).shape == (2, classes)


def test_shallow_masks_of_resnet18_stand_at_every_convolution_of_the_first_three_blocks():
    model = resnet.resnet18(width=4, insert=masks.parse("shallow=0.7"))
    blocks = [f"stage{stage}_block{block}_conv{i}" for stage in (1, 2) for block in (1, 2) for i in (1, 2)]
    assert sorted(mask_names(model)) == sorted(
        f"{name}_mask" for name in ["stem_conv", *blocks, "stage2_block1_shortcut"]
    )


def test_masks_stand_between_batch_normalization_and_addition_or_relu():
    model = resnet.resnet18(width=4, insert=masks.parse("shallow=0.7,deep=0.5"))
    for name in mask_names(model):
        layer = model.get_layer(name)
        (before,), (after,) = layer._inbound_nodes[0].parent_nodes, [node.operation for node in layer._outbound_nodes]
        assert isinstance(before.operation, keras.layers.BatchNormalization)
        assert isinstance(after, (keras.layers.Add, keras.layers.ReLU))


def test_resnet50_masks_its_3x3_convolutions_only():
    model = resnet.resnet50(width=4, insert=masks.parse("shallow=0.5"))
    assert sorted(mask_names(model)) == sorted(
        ["stem_conv_mask", *(f"stage{s}_block{b}_conv2_mask" for s, n in ((1, 3), (2, 4)) for b in range(1, n + 1))]
    )


def test_every_mask_differs():
    model = resnet.resnet18(width=4, insert=masks.parse("shallow=0.5"))
    kept = [np.array(model.get_layer(f"stage1_block{block}_conv{i}_mask").kept) for block in (1, 2) for i in (1, 2)]
    assert len({mask.tobytes() for mask in kept}) == 4


def test_channel_kind_and_width_change_the_channels_of_masked_blocks_and_mask_nothing_or_as_before():
    narrow = resnet.resnet18(width=8, insert=masks.parse("shallow=0.5,kind=channel"))
    wide = resnet.resnet18(width=8, insert=masks.parse("shallow=0.5,width=2"))
    names = ("stem_conv", "stage1_block1_conv1", "stage2_block2_conv2", "stage3_block1_conv1")
    assert [narrow.get_layer(name).filters for name in names] == [4, 4, 8, 32] and not mask_names(narrow)
    assert [wide.get_layer(name).filters for name in names] == [16, 16, 32, 32] and len(mask_names(wide)) == 10
