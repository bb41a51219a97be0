"""Where the masks of each family stand, and which channels the other kinds of placement change."""

import pytest

from tests.support import networks
from tfrobust import models
from tfrobust.layers import FixedMask, Placement
from tfrobust.models import masks


def post(convolution, relu):
    """The way through a mask after a convolution and its normalization."""
    return f"{convolution} {convolution}_norm {convolution}_mask {relu}"


def pre(source, name, i=1):
    """The way through a mask between a pre-activation network's normalization and ReLU."""
    return f"{source} {name}_norm{i} {name}_norm{i}_mask {name}_relu{i}"


def vgg(groups):
    return [post(f"group{g}_conv{i}", f"group{g}_relu{i}") for g, n in groups.items() for i in range(1, n + 1)]


def dense_block(stage, layers, first):
    """What the layers of a dense block and its transition read; `first` is the source of the first layer."""
    names = [f"stage{stage}_layer{i}" for i in range(1, layers + 1)]
    sources = [first, *(f"{name}_concatenate" for name in names)]
    return [pre(*pair) for pair in zip(sources, [*names, f"stage{stage}_transition"], strict=True)]


def residual_stage(stage, blocks, first):
    """What the two convolutions of each residual block read."""
    names = [f"stage{stage}_block{i}" for i in range(1, blocks + 1)]
    sources = [first, *(f"{name}_add" for name in names[:-1])]
    pairs = [(pre(source, name), pre(f"{name}_conv1", name, 2)) for source, name in zip(sources, names, strict=True)]
    return [way for pair in pairs for way in pair]


WIDE = [residual_stage(1, 5, "stem_conv"), residual_stage(2, 5, "stage1_block5_add")]
SENET = [residual_stage(1, 2, "stem_relu"), residual_stage(2, 2, "stage1_block2_add")]
DENSE = [dense_block(1, 6, "stem_conv"), dense_block(2, 12, "stage1_transition_pool")]
LITE = [
    f"block{i}_depthwise_conv block{i}_depthwise_bn block{i}_depthwise_bn_mask block{i}_depthwise_relu"
    for i in range(1, 17)
]
WAYS = {
    ("ace_toy", "shallow"): ["preprocessing conv1 conv1_mask relu1", "relu1 conv2 conv2_mask relu2"],
    ("ace_toy", "deep"): ["relu2 conv3 conv3_mask relu3"],
    ("alexnet", "shallow"): ["preprocessing conv1 conv1_mask relu1", "pool1 conv2 conv2_mask relu2"],
    ("alexnet", "deep"): [
        "pool2 conv3 conv3_mask relu3",
        "relu3 conv4 conv4_mask relu4",
        "relu4 conv5 conv5_mask relu5",
    ],
    ("convnet", "shallow"): ["preprocessing conv1 conv1_mask pool1", "relu1 conv2 conv2_mask relu2"],
    ("convnet", "deep"): ["pool2 conv3 conv3_mask relu3"],
    ("densenet121", "0"): DENSE[0][:1],
    ("densenet121", "1"): DENSE[0][1:],
    ("densenet121", "shallow"): DENSE[0] + DENSE[1],
    ("efficientnet_lite0", "0"): ["stem_conv stem_bn stem_bn_mask stem_relu"],
    ("efficientnet_lite0", "3"): LITE[3:5],
    ("efficientnet_lite0", "deep"): LITE[5:],
    ("lenet", "shallow"): ["preprocessing conv1 conv1_mask pool1"],
    ("lenet", "deep"): ["pool1 conv2 conv2_mask pool2"],
    ("madry_cnn", "shallow"): ["preprocessing conv1 conv1_mask relu1"],
    ("madry_cnn", "deep"): ["pool1 conv2 conv2_mask relu2"],
    ("nin", "shallow"): [
        "preprocessing group0_conv1 group0_conv1_mask group0_relu1",
        "group0_pool group1_conv1 group1_conv1_mask group1_relu1",
    ],
    ("nin", "deep"): ["group1_pool group2_conv1 group2_conv1_mask group2_relu1"],
    ("resnet18_imagenet", "0"): ["stem_conv stem_conv_norm stem_conv_mask stem_relu"],
    ("senet18", "0"): SENET[0][:1],
    ("senet18", "2"): SENET[1],
    ("senet18", "shallow"): SENET[0] + SENET[1],
    ("small_cnn", "shallow"): ["preprocessing conv1 conv1_mask relu1", "relu1 conv2 conv2_mask relu2"],
    ("small_cnn", "deep"): ["pool1 conv3 conv3_mask relu3", "relu3 conv4 conv4_mask relu4"],
    ("vgg11", "shallow"): vgg({0: 1, 1: 1}),
    ("vgg11", "deep"): vgg({2: 2, 3: 2, 4: 2}),
    ("vgg19", "0"): vgg({0: 2}),
    ("vgg19", "shallow"): vgg({0: 2, 1: 2}),
    ("vgg19", "deep"): vgg({2: 4, 3: 4, 4: 4}),
    ("wide_resnet32_4", "0"): WIDE[0][:1],
    ("wide_resnet32_4", "shallow"): WIDE[0],
    ("wide_resnet32_4", "2"): WIDE[1],
}


def source(layer):
    """The layer that a layer's input comes from; a placement's record is passed over."""
    (node,) = layer._inbound_nodes[0].parent_nodes
    return source(node.operation) if isinstance(node.operation, Placement) else node.operation


@pytest.mark.parametrize("name, blocks", WAYS)
def test_masks_stand_where_the_papers_put_them(name, blocks):
    """Two layers before each mask, the mask, and the only layer after it."""
    model = models.build(name, **networks.narrow(name), insert=masks.parse(f"{blocks}=0.5"))
    ways = []
    for mask in (layer for layer in model.layers if isinstance(layer, FixedMask)):
        before, (after,) = source(mask), [node.operation for node in mask._outbound_nodes]
        ways.append(f"{source(before).name} {before.name} {mask.name} {after.name}")
    assert sorted(ways) == sorted(WAYS[name, blocks])


CHANNELS = {  # at full width: layers of the shallow blocks, and others
    "alexnet": ({"conv1": 96, "conv2": 256}, {"conv3": 384, "conv4": 384, "conv5": 256}),
    "efficientnet_lite0": (
        {"stem_conv": 32, "block4_expand_conv": 144, "block5_expand_conv": 240},
        {"block5_project_conv": 40, "block6_expand_conv": 240, "head_conv": 1280},
    ),
    "ace_toy": ({"conv1": 16, "conv2": 32}, {"conv3": 64}),
    "convnet": ({"conv1": 32, "conv2": 32}, {"conv3": 64, "conv4": 64}),
    "densenet121": (
        {"stem_conv": 64, "stage1_layer1_conv1": 128, "stage2_layer12_conv2": 32},
        {"stage3_layer1_conv1": 128, "stage3_layer1_conv2": 32},
    ),
    "lenet": ({"conv1": 20}, {"conv2": 50}),
    "madry_cnn": ({"conv1": 32}, {"conv2": 64}),
    "small_cnn": ({"conv1": 32, "conv2": 32}, {"conv3": 64, "conv4": 64}),
    "nin": ({"group0_conv1": 192, "group0_conv2": 160, "group1_conv3": 192}, {"group2_conv1": 192}),
    "senet18": (
        {"stem_conv": 64, "stage2_block1_shortcut": 128, "stage2_block2_conv2": 128},
        {"stage3_block1_conv1": 256, "stage4_block2_conv2": 512},
    ),
    "vgg19": ({"group0_conv2": 64, "group1_conv1": 128}, {"group2_conv1": 256, "group4_conv4": 512}),
    "wide_resnet32_4": (
        {"stem_conv": 16, "stage1_block1_shortcut": 64, "stage1_block5_conv2": 64},
        {"stage2_block1_conv1": 128, "stage3_block5_conv2": 256},
    ),
}


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize("option, factor", [("kind=channel", 0.5), ("width=2", 2)])
def test_channel_kind_and_width_change_the_channels_of_masked_blocks_alone(name, option, factor):
    model = models.build(name, input_shape=(32, 32, 3), classes=10, insert=masks.parse(f"shallow=0.5,{option}"))
    shallow, others = CHANNELS[name]
    expected = {layer: channels * factor for layer, channels in shallow.items()} | others
    assert {layer: model.get_layer(layer).filters for layer in expected} == expected
    assert any(isinstance(layer, FixedMask) for layer in model.layers) == (option != "kind=channel")


def test_squeeze_and_excitation_scales_each_channel_by_its_own_factor_before_the_addition():
    model = models.build("senet18", width=32)
    scale = model.get_layer("stage2_block1_scale")
    parts = [node.operation.name for node in scale._inbound_nodes[0].parent_nodes]
    assert parts == ["stage2_block1_conv2", "stage2_block1_excite"]
    assert [node.operation.name for node in scale._outbound_nodes] == ["stage2_block1_add"]
    assert model.get_layer("stage2_block1_excite").output.shape == (None, 1, 1, 64)
    assert model.get_layer("stage2_block1_reduce").units == 4


@pytest.mark.parametrize("name, relu", [("senet18", "stage2_block1_relu1"), ("wide_resnet32_4", "stage1_block1_relu1")])
def test_a_projection_reads_the_masked_activation_that_the_convolution_reads(name, relu):
    model = models.build(name, width=4, insert=masks.parse("shallow=0.5"))
    readers = [node.operation.name for node in model.get_layer(relu)._outbound_nodes]
    assert readers == [relu.replace("relu1", "shortcut"), relu.replace("relu1", "conv1")]
