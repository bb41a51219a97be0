"""Keras layers written in `keras.ops` alone, so that they run on every Keras back end."""

from tfrobust.layers.fixed_mask import FixedMask, FixedMaskConv2D
from tfrobust.layers.preprocessing import Standardize, origin

__all__ = ["FixedMask", "FixedMaskConv2D", "Standardize", "origin"]
