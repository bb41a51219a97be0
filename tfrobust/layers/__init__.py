"""Keras layers written in `keras.ops` alone, so that they run on every Keras back end."""

from tfrobust.layers.preprocessing import Standardize, origin

__all__ = ["Standardize", "origin"]
