"""Gradient overlap: through how many weights each pixel reaches the logits.

    Omega(x_i) = d sum(logits) / d x_i      with every weight 1, and without non-linearities, as `analysis.paths` has it
    G(p)       = the pixels of the p-th part with the largest overlap
    C          = the pixels of even row and even column, which an ACE module reads

The paths through the module count 1/108 each, over all of its channels: with the literal weights of 1 they outweigh the
image itself at any lam, and the paper's table 2 does not come out.

ACE, ICLR 2019 submission, section 2.2, table 2 and appendix C.
"""

import math

import keras
import numpy as np
import tensorflow as tf

from tfrobust.analysis import paths
from tfrobust.errors import InputError

PATH_WEIGHT = 1 / 108
_DIGITS = 12  # values that agree to them are equal
_TINY = 1e-250  # keeps the paths of deep networks, both ways, within float64


def gradient_overlap(model: keras.Model, path_weight: float = PATH_WEIGHT) -> np.ndarray:
    """The gradient overlap of each pixel of a network, whatever its weights are.

    Max pooling passes a gradient to where an image of ones has its maximum, the first one row by row. Masks count as if
    they let all through, gates such as those of squeeze and excitation as 1.

    Args:
      model: a functional or sequential Keras model from images to logits; its ACE module, if any, has the lam of its
        weight.
      path_weight: of each path through the module's F, added up over channels; literally it is the module's hidden
        channels times the image's.

    Returns:
      float64 [height, width], of which the largest is 1.

    Raises:
      InputError: for a model whose layers are not known or in which no pixel reaches the logits.

    Example:
      >>> checkerboard_share(gradient_overlap(tfrobust.models.vgg11()))
      0.05078125
    """
    if not path_weight >= 0:
        raise InputError(f"path_weight must be at least 0, got {path_weight}")
    counter = paths.count(model, path_weight)
    ones = tf.fill([1, *counter.input_shape[1:]], tf.constant(_TINY, tf.float64))
    with tf.GradientTape() as tape:
        tape.watch(ones)
        total = tf.reduce_sum(counter(ones)) * _TINY
    found = tape.gradient(total, ones).numpy()[0, :, :, 0]
    if not (np.isfinite(found).all() and found.max() > 0):
        raise InputError(f"{model.name}: its paths cannot be counted; the largest overlap would be {found.max()}")
    return found / found.max()


def top_pixels(overlap: np.ndarray, fraction: float = 0.3) -> np.ndarray:
    """G(p): the pixels whose overlap is above that of all but a fraction of the pixels.

    Args:
      overlap: float [height, width].
      fraction: p, in (0, 1]. Where several pixels have the overlap at the border, all of them are left out.

    Returns:
      bool [height, width]; a mask of the pixels that attacks may change, too: see `tfrobust.attacks.Restricted`.

    Raises:
      InputError: for another fraction.
    """
    if not 0 < fraction <= 1:
        raise InputError(f"fraction is the share of the pixels, in (0, 1]; got {fraction}")
    overlap = np.asarray(overlap)
    count = math.floor(fraction * overlap.size)
    if count == overlap.size:
        return np.ones(overlap.shape, bool)
    values = np.round(overlap / overlap.max(), _DIGITS)
    border = np.sort(values, axis=None)[::-1][max(count - 1, 0)]
    return values > border


def checkerboard(shape: tuple[int, int]) -> np.ndarray:
    """C: bool [height, width], True where row and column are even.

    Example:
      >>> int(checkerboard((5, 4)).sum())
      6
    """
    rows, columns = np.indices(shape)
    return (rows % 2 == 0) & (columns % 2 == 0)


def checkerboard_share(overlap: np.ndarray, fraction: float = 0.3) -> float:
    """|G(p) & C| / |C|: the share of the checkerboard among the pixels with the largest overlap, as in table 2.

    Args:
      overlap: float [height, width].
      fraction: p.

    Example:
      >>> checkerboard_share(np.array([[1.0, 0.5], [0.25, 0.0]]), fraction=0.5)
      1.0
    """
    board = checkerboard(np.shape(overlap))
    return float((top_pixels(overlap, fraction) & board).sum() / board.sum())
