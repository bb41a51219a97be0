"""Keras layers written in `keras.ops` alone, so that they run on every Keras back end."""

from tfrobust.layers.ace import CheckerboardEnhancer, UNetEnhancer
from tfrobust.layers.channel_order import ReverseChannels
from tfrobust.layers.drop_block import DropBlock
from tfrobust.layers.fake_quantization import (
    FakeQuantization,
    FakeQuantizedConv2D,
    FakeQuantizedDense,
    FakeQuantizedDepthwiseConv2D,
    FakeQuantizedGroupedConv2D,
)
from tfrobust.layers.fixed_mask import FixedMask, FixedMaskConv2D, Placement
from tfrobust.layers.grouped import GroupedConv2D
from tfrobust.layers.local_response_normalization import LocalResponseNormalization
from tfrobust.layers.member_average import MemberAverage
from tfrobust.layers.pixel_deflection import ActivationMap, PixelDeflection
from tfrobust.layers.pixel_shift import PixelShift
from tfrobust.layers.preprocessing import Standardize, origin
from tfrobust.layers.region_vote import RegionVote
from tfrobust.layers.resize_pad import ResizePad
from tfrobust.layers.straight_through import StraightThrough, stand_ins, straight_through

__all__ = [
    "ActivationMap",
    "CheckerboardEnhancer",
    "DropBlock",
    "FakeQuantization",
    "FakeQuantizedConv2D",
    "FakeQuantizedDense",
    "FakeQuantizedDepthwiseConv2D",
    "FakeQuantizedGroupedConv2D",
    "FixedMask",
    "FixedMaskConv2D",
    "GroupedConv2D",
    "LocalResponseNormalization",
    "MemberAverage",
    "PixelDeflection",
    "PixelShift",
    "Placement",
    "RegionVote",
    "ResizePad",
    "ReverseChannels",
    "Standardize",
    "StraightThrough",
    "UNetEnhancer",
    "origin",
    "stand_ins",
    "straight_through",
]
