"""Shifts of images by whole pixels, given or drawn: the defense that belongs to ACE.

Zeros come in on one side, and as many rows or columns go on the other. What is on the checkerboard C, the pixels of even
row and even column, leaves it unless both coordinates of the shift are even.

ACE, ICLR 2019 submission, section 4.3 and appendices D and H.
"""

from typing import Any

import keras
from keras import ops

from tfrobust.errors import InputError

OFFSETS = {"right": (0, 1), "left": (0, -1), "down": (1, 0), "up": (-1, 0)}
RANDOM = "random"


@keras.saving.register_keras_serializable(package="tfrobust")
class PixelShift(keras.layers.Layer):
    """Moves images by some pixels, in training and at inference.

    Args:
      pixels: by how many, at least 1.
      direction: where the image goes, "right", "left", "down" or "up"; "random": for each image anew to one of
        `safe_offsets(pixels)`.
      seed: of the random draws; each call makes new ones.

    Input and output shape:
      [batch, height, width, channels].

    Raises:
      InputError: for pixels that are not a whole number of at least 1, or another direction.

    Example:
      >>> PixelShift(1, "down")(keras.ops.ones([1, 3, 2, 1])).numpy()[0, :, 0, 0].tolist()
      [0.0, 1.0, 1.0]
    """

    def __init__(self, pixels: int = 1, direction: str = "right", seed: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        if not (isinstance(pixels, int) and pixels >= 1):
            raise InputError(f"pixels must be a whole number of at least 1, got {pixels!r}")
        if direction not in (*OFFSETS, RANDOM):
            raise InputError(f"direction must be one of {', '.join((*OFFSETS, RANDOM))}; got {direction!r}")
        self.pixels, self.direction, self.seed = pixels, direction, seed
        if direction == RANDOM:
            self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images):
        if self.direction == RANDOM:
            return one_of([moved(images, *offset) for offset in safe_offsets(self.pixels)], self.seed_generator)
        down, right = OFFSETS[self.direction]
        return moved(images, self.pixels * down, self.pixels * right)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "pixels": self.pixels, "direction": self.direction, "seed": self.seed}


def safe_offsets(pixels: int) -> list[tuple[int, int]]:
    """The shifts (down, right) that take the checkerboard off itself and are `pixels` long in one direction at least.

    Also for an even number of pixels there are some, which go an odd number of pixels in the other direction.

    Example:
      >>> len(safe_offsets(1)), (2, 0) in safe_offsets(2), (2, 1) in safe_offsets(2)
      (8, False, True)
    """
    steps = range(-pixels, pixels + 1)
    ring = [(down, right) for down in steps for right in steps if max(abs(down), abs(right)) == pixels]
    return [(down, right) for down, right in ring if down % 2 or right % 2]


def moved(images, down: int, right: int):
    """Images [batch, height, width, channels] so many pixels further down and right, zeros where nothing was."""
    _, height, width, _ = ops.shape(images)
    around = [[0, 0], [max(down, 0), max(-down, 0)], [max(right, 0), max(-right, 0)], [0, 0]]
    top, left = max(-down, 0), max(-right, 0)
    return ops.pad(images, around)[:, top : top + height, left : left + width]


def one_of(choices, seed_generator):
    """For each example one of several tensors [batch, height, width, channels], drawn uniformly."""
    drawn = keras.random.randint([ops.shape(choices[0])[0], 1, 1, 1], 0, len(choices), seed=seed_generator)
    chosen = choices[0]
    for number, choice in enumerate(choices[1:], start=1):
        chosen = ops.where(drawn == number, choice, chosen)
    return chosen
