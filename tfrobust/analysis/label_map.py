"""What a network takes an image for along two directions: its gradient on the checkerboard, and off it.

    label of  x + i * e_off + j * e_on       e_on = M * g / |M * g|_2    g the gradient of the cross-entropy at x
                                             M 1 on C, the pixels of even row and even column, and 0 elsewhere

ACE, ICLR 2019 submission, section 4.2, figures 4 and 8.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfrobust import objectives
from tfrobust.analysis.asked import asked
from tfrobust.analysis.gradient_overlap import checkerboard
from tfrobust.attacks import Access, Problem
from tfrobust.errors import InputError
from tfrobust.targets import ModelLike


class LabelMap(NamedTuple):
    """The labels on a plane around an image.

    Attributes:
      labels: int [points, points]: a row for each step j along the checkerboard, a column for each step i off it, both
        from -extent to extent.
      steps: float64 [points], the l2 lengths of the steps on images in [0, 1].
    """

    labels: np.ndarray
    steps: np.ndarray


def label_map(
    model: ModelLike, image: ArrayLike, label: int, extent: float = 100 / 255, points: int = 41, batch_size: int = 100
) -> LabelMap:
    """The labels of an image that is moved along its gradient on the checkerboard and off it. Nothing is clipped.

    Args:
      model: a Keras model, a path of one, or another white-box target.
      image: float32 [height, width, channels] in [0, 1].
      label: of the image, whose cross-entropy is differentiated.
      extent: the l2 length of the longest step; the paper's is 100 on the 0-255 scale.
      points: how many steps in each direction, an odd number, so that the image itself is in the middle; the paper's
        is 201.
      batch_size: images at a time.

    Returns:
      A `LabelMap`. Where the gradient has no part in a direction, nothing changes along it.

    Raises:
      InputError: for an even number of points, or a model without gradients.

    Example:
      >>> label_map(tfrobust.models.vgg11(), images[0], labels[0], points=11).labels.shape
      (11, 11)
    """
    if not (points > 0 and points % 2):
        raise InputError(f"points must be an odd number, so that the image itself is in the middle; got {points}")
    if not extent > 0:
        raise InputError(f"extent must be positive, got {extent}")
    image = np.asarray(image, "float32")
    target, predictor = asked(model, image[None], batch_size)
    on, off = directions(target, image, label)
    steps = np.linspace(-extent, extent, points)
    columns = steps[:, None, None, None] * off
    labels = [predictor.predictions((image + j * on + columns).astype("float32")) for j in steps]
    return LabelMap(np.stack(labels), steps)


def directions(target, image: np.ndarray, label: int) -> tuple[np.ndarray, np.ndarray]:
    """The gradient's parts on the checkerboard and off it, each float32 [height, width, channels] of l2 length 1, or 0."""
    if target.access is not Access.WHITE_BOX:
        raise InputError(f"a label map follows gradients, which {target.name} does not give: take the .keras file")
    images = tf.constant(image[None])
    problem = Problem(target.logits_fn, images, tf.constant([label]))
    gradient = problem.value_and_gradient(objectives.cross_entropy, images)[1].numpy()[0]
    board = checkerboard(image.shape[:2])[..., None]
    return _normalized(gradient * board), _normalized(gradient * ~board)


def _normalized(direction):
    length = np.linalg.norm(direction)
    return direction / length if length > 0 else direction
