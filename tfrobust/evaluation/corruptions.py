"""Changes of images that nobody optimizes: noise, and patches in another order."""

import numpy as np

from tfrobust.errors import InputError


def gaussian_noise(images: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    """Images with normal noise that is clipped at two standard deviations, within [0, 1].

    Random Mask, figure 3, with sigma from 1 to 32 on the 0 to 255 scale.

    Args:
      images: float32 [examples, height, width, channels] in [0, 1].
      sigma: of the noise, on the [0, 1] scale.
      seed: of the noise, which is the same for all sigma but for its size.

    Example:
      >>> gaussian_noise(images, 8 / 255).shape == images.shape
      True
    """
    noise = np.random.default_rng(seed).standard_normal(images.shape, dtype="float32").clip(-2, 2)
    return np.clip(images + np.float32(sigma) * noise, 0, 1)


def shuffled_patches(images: np.ndarray, grid: int, seed: int = 0) -> np.ndarray:
    """Images cut into grid x grid patches in a random order, another for each image.

    Random Mask, table 3: a network that keeps its accuracy looks at parts rather than at how they are put together.

    Args:
      images: [examples, height, width, channels], whose height and width `grid` divides.
      grid: patches to a side; 1 changes nothing.
      seed: of the orders.

    Raises:
      InputError: for a grid that does not divide the images' sides.
    """
    count, height, width, channels = images.shape
    if height % grid or width % grid:
        raise InputError(f"{grid} x {grid} patches do not divide images of {height} x {width}")
    patches = images.reshape(count, grid, height // grid, grid, width // grid, channels).swapaxes(2, 3)
    patches = patches.reshape(count, grid * grid, height // grid, width // grid, channels)
    rng = np.random.default_rng(seed)
    orders = (
        np.stack([rng.permutation(grid * grid) for _ in range(count)]) if count else np.zeros((0, grid * grid), int)
    )
    patches = np.take_along_axis(patches, orders[:, :, None, None, None], axis=1)
    patches = patches.reshape(count, grid, grid, height // grid, width // grid, channels).swapaxes(2, 3)
    return patches.reshape(images.shape)
