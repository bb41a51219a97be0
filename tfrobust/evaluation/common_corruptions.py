"""Common corruptions at five severities: noise, blur, weather and what cameras and files do to images.

Hendrycks and Dietterich, ICLR 2019, "Benchmarking neural network robustness to common corruptions and perturbations". The
severities are those of CIFAR-10-C for images of at most 64 pixels, else those of ImageNet-C; their numbers are from
github.com/hendrycks/robustness. Of the paper's fifteen corruptions frost is missing: it pastes photographs.

Draws are of each image's own, so that an image looks the same in whatever company.
"""

import io
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image
from scipy import ndimage

from tfrobust.errors import InputError

SEVERITIES = (1, 2, 3, 4, 5)
_SMALL = 64  # pixels to a side, up to which CIFAR-10-C's numbers are taken


def corrupted(images: np.ndarray, name: str, severity: int, seed: int = 0) -> np.ndarray:
    """Images with one corruption.

    Args:
      images: [examples, height, width, channels], float32 in [0, 1] or uint8, of 1 or 3 channels.
      name: one of `NAMES`.
      severity: from 1 to 5.
      seed: of the random draws.

    Returns:
      float32 like the images, in [0, 1], on the 8-bit grid as the files of the benchmarks are.

    Raises:
      InputError: for another name or severity, and for images of other channels.

    Example:
      >>> corrupted(images, "motion_blur", severity=3).shape == images.shape
      True
    """
    if name not in NAMES:
        raise InputError(f"corruptions are {', '.join(NAMES)}; got {name!r}")
    if severity not in SEVERITIES:
        raise InputError(f"severities are 1 to 5; got {severity!r}")
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        raise InputError(f"common corruptions are for images of 1 or 3 channels; got {images.shape}")
    if images.dtype == np.uint8:
        images = images / np.float32(255)
    function, small, large = _CORRUPTIONS[name]
    numbers = (small if max(images.shape[1:3]) <= _SMALL else large)[severity - 1]
    made = np.empty(images.shape, "float32")
    for index, image in enumerate(images):
        random = np.random.default_rng([seed, NAMES.index(name), severity, index])
        made[index] = function(image.astype("float64"), numbers, random)
    return np.round(np.clip(made, 0, 1) * 255).astype("float32") / np.float32(255)


# Each takes an image, float64 [height, width, channels] in [0, 1], the numbers of its severity and a generator.


def _gaussian_noise(image, sigma, random):
    return image + random.normal(0, sigma, image.shape)


def _shot_noise(image, photons, random):
    return random.poisson(image * photons) / photons


def _impulse_noise(image, share, random):
    draws = random.random(image.shape)
    return np.where(draws < share / 2, 0.0, np.where(draws < share, 1.0, image))


def _defocus_blur(image, numbers, _):
    """A disk of a radius, itself blurred a little by a Gaussian."""
    radius, sigma = numbers
    reach = max(8, int(radius)) if radius <= 8 else int(radius)
    distance = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1])
    disk = ndimage.gaussian_filter((distance <= radius).astype("float64"), sigma, radius=1 if radius <= 8 else 2)
    return _each_channel(lambda plane: ndimage.convolve(plane, disk / disk.sum(), mode="mirror"), image)


def _glass_blur(image, numbers, random):
    """Between two Gaussian blurs pixels take the color of near ones. (The paper exchanges them; the authors' code copies.)"""
    sigma, reach, times = numbers
    image = np.floor(_gaussian(image, sigma) * 255) / 255
    height, width, _ = image.shape
    for _ in range(times):
        steps = random.integers(-reach, reach, (height, width, 2))
        for row in range(height - reach - 1, reach, -1):
            for column in range(width - reach - 1, reach, -1):
                down, across = steps[row, column]
                image[row, column] = image[row + down, column + across]
    return _gaussian(image, sigma)


def _motion_blur(image, numbers, random):
    radius, sigma = numbers
    return _moved(image, radius, sigma, random.uniform(-45, 45))


def _zoom_blur(image, factors, _):
    return (image + sum(_zoomed(image, factor) for factor in factors)) / (len(factors) + 1)


def _snow(image, numbers, random):
    """Flakes, drawn out by the wind and once more upside down, on an image that is whiter."""
    mean, deviation, zoom, threshold, radius, sigma, share = numbers
    flakes = _zoomed(random.normal(mean, deviation, (*image.shape[:2], 1)), zoom)
    flakes = np.clip(np.where(flakes < threshold, 0.0, flakes), 0, 1)
    flakes = _moved(flakes, radius, sigma, random.uniform(-135, -45))
    white = np.maximum(image, _gray(image) * 1.5 + 0.5)
    return share * image + (1 - share) * white + flakes + np.rot90(flakes, 2)


def _fog(image, numbers, random):
    thickness, decay = numbers
    side = 1 << (max(image.shape[:2]) - 1).bit_length()
    fog = _plasma(side, decay, random)[: image.shape[0], : image.shape[1], None]
    brightest = image.max()
    return (image + thickness * fog) * brightest / (brightest + thickness)


def _brightness(image, more, _):
    """More of HSV's value, the largest channel: hue and saturation stay."""
    value = image.max(axis=2, keepdims=True)
    brighter = np.clip(value + more, 0, 1)
    return np.where(value > 0, image * brighter / np.maximum(value, 1e-12), brighter)


def _contrast(image, share, _):
    mean = image.mean(axis=(0, 1), keepdims=True)
    return (image - mean) * share + mean


def _elastic_transform(image, numbers, random):
    """A random affine map of the middle, then displacements that vary smoothly."""
    height, width, _ = image.shape
    strength, sigma, shake = (number * min(height, width) for number in numbers)
    center, reach = np.array([height // 2, width // 2]), min(height, width) // 3
    corners = center + reach * np.array([[1, 1], [1, -1], [-1, -1]])
    moved = corners + random.uniform(-shake, shake, (3, 2))
    # The map that leads from the moved corners back, of rows (row, column, 1).
    back = np.linalg.solve(np.column_stack([moved, np.ones(3)]), corners)
    rows, columns = np.mgrid[:height, :width]
    places = np.stack([rows, columns, np.ones_like(rows)], axis=-1) @ back
    image = _read(image, places, "mirror")
    noise = random.uniform(-1, 1, (2, height, width))
    shifts = [strength * ndimage.gaussian_filter(plane, sigma, mode="reflect", truncate=3) for plane in noise]
    return _read(image, np.stack([rows + shifts[0], columns + shifts[1]], axis=-1), "reflect")


def _pixelate(image, share, _):
    height, width, _ = image.shape
    small = _as_picture(image).resize((int(width * share), int(height * share)), Image.Resampling.BOX)
    return _as_image(small.resize((width, height), Image.Resampling.BOX))


def _jpeg_compression(image, quality, _):
    file = io.BytesIO()
    _as_picture(image).save(file, "JPEG", quality=quality)
    return _as_image(Image.open(file))


# What they are made of.


def _each_channel(function: Callable, image):
    return np.stack([function(image[:, :, channel]) for channel in range(image.shape[2])], axis=2)


def _gaussian(image, sigma):
    return ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="nearest")


def _gray(image):
    weights = [0.299, 0.587, 0.114] if image.shape[2] == 3 else [1.0]
    return (image @ weights)[:, :, None]


def _moved(image, radius, sigma, angle):
    """Drawn out to one side along an angle in degrees, with the weights of half a Gaussian."""
    weights = np.exp(-(np.arange(2 * radius + 1) ** 2) / (2 * sigma**2))
    direction = np.deg2rad(angle)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    moved = np.zeros_like(image)
    for step, weight in enumerate(weights / weights.sum()):
        row = np.clip(rows + round(step * np.sin(direction)), 0, image.shape[0] - 1)
        column = np.clip(columns + round(step * np.cos(direction)), 0, image.shape[1] - 1)
        moved += weight * image[row, column]
    return moved


def _zoomed(image, factor):
    """The middle of an image, enlarged to its size."""
    height, width, _ = image.shape
    inner = [int(np.ceil(size / factor)) for size in (height, width)]
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    large = ndimage.zoom(image[top : top + inner[0], left : left + inner[1]], (factor, factor, 1), order=1)
    top, left = (large.shape[0] - height) // 2, (large.shape[1] - width) // 2
    return large[top : top + height, left : left + width]


def _plasma(side, decay, random):
    """A fractal in [0, 1]: the diamond-square algorithm on a torus of a power of two, with noise that falls by `decay`."""
    field, step, noise = np.zeros((side, side)), side, 100.0

    def wobbled(mean):
        return mean + noise * random.uniform(-noise, noise, mean.shape)

    while step >= 2:
        half = step // 2
        corners = field[::step, ::step]
        right, below = np.roll(corners, -1, axis=1), np.roll(corners, -1, axis=0)
        field[half::step, half::step] = wobbled((corners + right + below + np.roll(right, -1, axis=0)) / 4)
        middles = field[half::step, half::step]
        field[::step, half::step] = wobbled((middles + np.roll(middles, 1, axis=0) + corners + right) / 4)
        field[half::step, ::step] = wobbled((middles + np.roll(middles, 1, axis=1) + corners + below) / 4)
        step, noise = half, noise / decay
    field -= field.min()
    return field / field.max()


def _read(image, places, mode):
    """The image at places [height, width, 2], linearly between pixels."""
    at = np.moveaxis(places, -1, 0)
    return _each_channel(lambda plane: ndimage.map_coordinates(plane, at, order=1, mode=mode), image)


def _as_picture(image):
    levels = np.round(np.clip(image, 0, 1) * 255).astype("uint8")
    return Image.fromarray(levels[:, :, 0] if image.shape[2] == 1 else levels)


def _as_image(picture):
    levels = np.asarray(picture, "float64") / 255
    return levels[:, :, None] if levels.ndim == 2 else levels


def _steps(last, step):
    return np.arange(1, last, step)


# The function, and the numbers of its severities in CIFAR-10-C and in ImageNet-C.
_CORRUPTIONS: dict[str, tuple[Callable, Sequence, Sequence | np.ndarray]] = {
    "gaussian_noise": (_gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10), (0.08, 0.12, 0.18, 0.26, 0.38)),
    "shot_noise": (_shot_noise, (500, 250, 100, 75, 50), (60, 25, 12, 5, 3)),
    "impulse_noise": (_impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07), (0.03, 0.06, 0.09, 0.17, 0.27)),
    "defocus_blur": (
        _defocus_blur,
        ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
        ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    ),
    "glass_blur": (
        _glass_blur,
        ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
        ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    ),
    "motion_blur": (
        _motion_blur,
        ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
        ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    ),
    "zoom_blur": (
        _zoom_blur,
        tuple(_steps(last, 0.01) for last in (1.06, 1.11, 1.16, 1.21, 1.26)),
        (_steps(1.11, 0.01), _steps(1.16, 0.01), _steps(1.21, 0.02), _steps(1.26, 0.02), _steps(1.31, 0.03)),
    ),
    "snow": (
        _snow,
        (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
        (
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
            (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
            (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ),
    ),
    "fog": (
        _fog,
        ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
        ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    ),
    "brightness": (_brightness, (0.05, 0.1, 0.15, 0.2, 0.3), (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": (_contrast, (0.75, 0.5, 0.4, 0.3, 0.15), (0.4, 0.3, 0.2, 0.1, 0.05)),
    "elastic_transform": (  # as shares of the shorter side; the authors' 244 for 224 is kept
        _elastic_transform,
        ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
        244
        / 224
        * np.array([[2, 0.7, 0.1], [2, 0.08, 0.2], [0.05, 0.01, 0.02], [0.07, 0.01, 0.02], [0.12, 0.01, 0.02]]),
    ),
    "pixelate": (_pixelate, (0.95, 0.9, 0.85, 0.75, 0.65), (0.6, 0.5, 0.4, 0.3, 0.25)),
    "jpeg_compression": (_jpeg_compression, (80, 65, 58, 50, 40), (25, 18, 15, 10, 7)),
}
NAMES = tuple(_CORRUPTIONS)
