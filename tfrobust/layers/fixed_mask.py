"""Masks that are drawn once, before training, and never change.

Random Mask: Luo et al., ICLR 2019 submission, section 2; Defective Convolutional Networks, arXiv 1911.08432. A unit
that is masked is 0 in training, at inference, and in every export.
"""

import contextlib
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

KINDS = ("random", "same")
BITS = np.unpackbits(np.arange(256, dtype="uint8")[:, None], axis=1).astype("bool")  # [256, 8]: those of every byte


@keras.saving.register_keras_serializable(package="tfrobust")
class FixedMask(keras.layers.Layer):
    """Sets a fixed part of its input to zero.

    The mask has the shape of one example. Each channel has exactly `round(ratio * height * width)` zeros, drawn
    uniformly without replacement from `seed`: a layer made again from its configuration has the same mask.

    Args:
      ratio: the share of zeros, in [0, 1). The 2021 paper's keep probability is 1 - ratio.
      kind: "random", where every channel has a mask of its own, or "same", one spatial mask for all of them.
      seed: a whole number. Give each layer its own, or their masks agree where their shapes do.

    Input and output shape:
      [batch, height, width, channels], with known height, width and channels.

    Raises:
      ValueError: for a ratio outside [0, 1) or one that would leave a channel without a unit, an unknown kind, a
        missing seed or an unknown spatial size.

    Example:
      >>> FixedMask(ratio=0.75, seed=0)(keras.ops.ones([1, 2, 2, 3])).numpy().sum()
      3.0
    """

    def __init__(self, ratio: float, kind: str = "random", seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if not (isinstance(ratio, (int, float)) and 0 <= ratio < 1):
            raise ValueError(f"ratio is the share of zeros, in [0, 1); got {ratio!r}")
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}; got {kind!r}")
        if not isinstance(seed, int):
            raise ValueError(f"a fixed mask needs an explicit seed, a whole number; got {seed!r}")
        self.ratio, self.kind, self.seed = ratio, kind, seed
        self.plane: np.ndarray | None = None  # what selects the units in a TFLite file, see `converting`

    def build(self, input_shape):
        shape = tuple(input_shape[1:])
        if len(shape) != 3 or None in shape:
            raise ValueError(
                f"a fixed mask needs inputs [batch, height, width, channels] of known size, got {input_shape}"
            )
        # One byte a unit, in memory and in a SavedModel. A product by a float mask would have four, and a converter
        # would fold it with weights and bias into two such planes.
        kept = draw_mask(shape, self.ratio, self.kind, self.seed)
        self.kept = self.add_weight(
            name="kept",
            shape=shape,
            dtype="bool",
            initializer=lambda *_, **__: ops.convert_to_tensor(kept),
            trainable=False,
        )

    def call(self, inputs):
        kept, zero = ops.convert_to_tensor(self.kept), ops.zeros((), inputs.dtype)
        if self.plane is not None:
            return ops.where(small_plane(self.plane, self.kind, inputs), inputs, zero)
        flat = ops.where(ops.reshape(kept, [-1]), ops.reshape(inputs, [-1, math.prod(kept.shape)]), zero)
        return ops.reshape(flat, [-1, *kept.shape])

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "ratio": self.ratio, "kind": self.kind, "seed": self.seed}


@keras.saving.register_keras_serializable(package="tfrobust")
class FixedMaskConv2D(keras.layers.Conv2D):
    """A convolution whose output goes through a `FixedMask`: the papers' defective convolutional layer.

    Takes the arguments of `keras.layers.Conv2D`, and `ratio`, `kind` and `mask_seed` of the mask. In networks with
    batch normalization the papers mask after it: use `Conv2D`, `BatchNormalization` and `FixedMask` there.

    Example:
      >>> FixedMaskConv2D(8, 3, ratio=0.5, mask_seed=1)(keras.ops.ones([1, 6, 6, 3])).shape
      TensorShape([1, 4, 4, 8])
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        ratio: float,
        kind: str = "random",
        mask_seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(filters, kernel_size, **kwargs)
        self.mask = FixedMask(ratio, kind, mask_seed, name="mask", dtype=self.dtype_policy)

    def build(self, input_shape):
        super().build(input_shape)
        self.mask.build(self.compute_output_shape(input_shape))

    def call(self, inputs):
        return self.mask(super().call(inputs))

    def get_config(self):
        mask = {"ratio": self.mask.ratio, "kind": self.mask.kind, "mask_seed": self.mask.seed}
        return {**super().get_config(), **mask}


@keras.saving.register_keras_serializable(package="tfrobust")
class Placement(keras.layers.Layer):
    """Passes its input on, and is where a model keeps the text of its mask placement.

    The name says it too, in the characters that a name may have: `masks_shallow_0.7_kind_same`.
    """

    def __init__(self, masks: str, name: str | None = None, **kwargs: Any):
        super().__init__(name=name or f"masks_{masks.replace('=', '_').replace(',', '_')}", **kwargs)
        self.masks = masks

    def call(self, inputs):
        return inputs

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "masks": self.masks}


@contextlib.contextmanager
def converting(model):
    """Within it a model's masks are `small_plane`s, for TFLite files.

    Elsewhere they select in flat examples, which TensorFlow does twice as fast on a CPU.
    """
    masks = [layer for layer in model._flatten_layers() if isinstance(layer, FixedMask)]
    for mask in masks:
        mask.plane = np.array(mask.kept)
    try:
        yield
    finally:
        for mask in masks:
            mask.plane = None


def small_plane(kept, kind, inputs):
    """A mask's plane in operations that take less than a byte a unit in a TFLite file.

    Masks of kind "same" are one channel. Others are bytes of eight units each, looked up in a table of their bits by
    int16, the narrowest index there is. The table asks whether the batch has any example, though it always has: a
    converter would replace a look-up that is all constants by its result.

    Args:
      kept: bool [height, width, channels]; a number of units that is no multiple of eight stays as it is.
      kind: one of `KINDS`.
      inputs: what is masked, [batch, height, width, channels].

    Returns:
      bool [height, width, channels or 1].
    """
    if kind == "same":
        return kept[..., :1]
    if kept.size % 8:
        return kept
    table = ops.logical_and(BITS, ops.cast(ops.shape(inputs)[0], "bool"))
    return ops.reshape(ops.take(table, np.packbits(kept).astype("int16"), axis=0), kept.shape)


def draw_mask(shape, ratio, kind, seed):
    """Which units are kept: bool [height, width, channels], with the same exact count in every channel."""
    height, width, channels = shape
    zeros = round(ratio * height * width)
    if zeros == height * width:
        raise ValueError(f"ratio {ratio} would leave nothing of a channel of {height}x{width}; lower it")
    masks = channels if kind == "random" else 1
    ranks = np.random.default_rng(seed).random((height * width, masks)).argsort(axis=0).argsort(axis=0)
    return np.broadcast_to((ranks >= zeros).reshape(height, width, masks), shape)
