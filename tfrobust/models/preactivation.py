"""What the pre-activation networks share: normalization and ReLU come before each convolution.

He et al., ECCV 2016. A convolution's output is normalized only where it is read. There the masks stand, as in Random
Mask's authors' code: after the batch normalization, before the ReLU.
"""

from keras import layers

from tfrobust.models.convolution import convolution, normalization


def activation(x, blocks, block, name, i):
    """Batch normalization, the block's mask and ReLU."""
    x = blocks.after(normalization(x, f"{name}_norm{i}"), block, f"{name}_norm{i}")
    return layers.ReLU(name=f"{name}_relu{i}")(x)


def residual_stages(x, blocks, depths, width, gate=lambda y, name: y, padding="same"):
    """Stages of residual blocks of two 3x3 convolutions, each stage with twice the channels of the one before.

    Args:
      x: what the stem gives.
      blocks: a `Blocks`. Block 0 is the stem, masked where the first residual block reads it; each stage is
        the block of its number, from 1.
      depths: how many residual blocks each stage has.
      width: channels of the first stage.
      gate: a function (y, name) of what a residual block computes, applied before the addition.
      padding: see `convolution`.
    """
    for stage, depth in enumerate(depths, start=1):
        channels = blocks.channels(width * 2 ** (stage - 1), stage)
        for i in range(1, depth + 1):
            name, strides = f"stage{stage}_block{i}", 2 if stage > 1 and i == 1 else 1
            y = activation(x, blocks, 0 if stage == i == 1 else stage, name, 1)
            if x.shape[-1] != channels or strides > 1:
                x = convolution(y, channels, 1, strides, f"{name}_shortcut")
            y = convolution(y, channels, 3, strides, f"{name}_conv1", padding=padding)
            y = convolution(activation(y, blocks, stage, name, 2), channels, 3, 1, f"{name}_conv2")
            x = layers.Add(name=f"{name}_add")([x, gate(y, name)])
    return x
