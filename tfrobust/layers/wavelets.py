"""Denoising of images by Haar wavelets: soft thresholds from the noise's deviation, in luma and chroma.

    t_d = sigma^2 / sqrt(max(mean(d^2) - sigma^2, 0))      for the details d of a level, a direction and a channel
    d'  = sign(d) * max(|d| - t_d, 0)

BayesShrink: Chang, Yu and Vetterli, IEEE Transactions on Image Processing 9, 2000. Colors: ITU-R BT.601, full range.
The wavelets are those that PyWavelets calls "db1" or "haar", extended symmetrically at odd sizes.
"""

import math

import numpy as np
from keras import ops

_LUMA = np.array([0.299, 0.587, 0.114])
_TO_YCBCR = np.stack([_LUMA, ([0, 0, 1] - _LUMA) / 1.772, ([1, 0, 0] - _LUMA) / 1.402], axis=1)


def denoised(images, sigma: float):
    """Images without what is likely noise.

    Args:
      images: float [batch, height, width, channels] of known height and width; three channels are red, green and blue.
      sigma: the noise's standard deviation.

    Returns:
      Images of the same shape, not clipped. Three levels less than there could be are thresholded, at least one.
    """
    height, width, channels = images.shape[1:]
    if channels != 3:
        return _shrunk(images, sigma, levels(height, width))
    transform = ops.convert_to_tensor(_TO_YCBCR, images.dtype)
    back = ops.convert_to_tensor(np.linalg.inv(_TO_YCBCR), images.dtype)
    return ops.matmul(_shrunk(ops.matmul(images, transform), sigma, levels(height, width)), back)


def levels(height: int, width: int) -> int:
    """How many levels are thresholded of images of this size."""
    return max(1, int(math.log2(min(height, width))) - 3)


def _shrunk(images, sigma, depth):
    """Images with thresholds on the details of `depth` levels."""
    if depth == 0:
        return images
    height, width = images.shape[1:3]
    coarse, details = transformed(images)
    return restored(_shrunk(coarse, sigma, depth - 1), [_thresholded(d, sigma) for d in details])[:, :height, :width]


def _thresholded(details, sigma):
    variance = ops.mean(ops.square(details), axis=(1, 2), keepdims=True)
    signal = ops.sqrt(ops.maximum(variance - sigma**2, 1e-12))
    return ops.sign(details) * ops.maximum(ops.abs(details) - sigma**2 / signal, 0.0)


def transformed(images):
    """One level of the Haar transform: the coarse image of half the size, and three images of details."""
    height, width = images.shape[1:3]
    if height % 2:
        images = ops.concatenate([images, images[:, -1:]], axis=1)
    if width % 2:
        images = ops.concatenate([images, images[:, :, -1:]], axis=2)
    low, high = _halves(images[:, ::2], images[:, 1::2])
    (coarse, vertical), (horizontal, diagonal) = (_halves(x[:, :, ::2], x[:, :, 1::2]) for x in (low, high))
    return coarse, [horizontal, vertical, diagonal]


def restored(coarse, details):
    """The inverse of `transformed`, of even size."""
    horizontal, vertical, diagonal = details
    low, high = (_interleaved(*pair, axis=2) for pair in ((coarse, vertical), (horizontal, diagonal)))
    return _interleaved(low, high, axis=1)


def _halves(first, second):
    return (first + second) / math.sqrt(2), (first - second) / math.sqrt(2)


def _interleaved(low, high, axis):
    """Two images, of which the inverse of `_halves` takes turns along an axis."""
    pair = ops.stack(_halves(low, high), axis=axis + 1)
    shape = list(low.shape)
    shape[0], shape[axis] = -1, 2 * shape[axis]
    return ops.reshape(pair, shape)
