"""How alike an adversarial image and the one that it was made of look."""

import numpy as np
from numpy.typing import ArrayLike

from tfrobust.errors import InputError

_LUMA = np.array([0.299, 0.587, 0.114], "float32")
WINDOW = 11  # pixels of SSIM's window to a side
_ITERATIONS, _ENOUGH = 50, 1e-6  # of the alignment, and the change of its correlation at which it ends


def psnr(images: ArrayLike, others: ArrayLike) -> np.ndarray:
    """The peak signal-to-noise ratio of pairs of images in [0, 1], in dB; infinite for equal ones.

    Args:
      images, others: float32 [examples, height, width, channels].

    Returns:
      float32 [examples].

    Example:
      >>> psnr(np.zeros([1, 2, 2, 1]), np.full([1, 2, 2, 1], 0.1))
      array([20.], dtype=float32)
    """
    errors = np.mean(np.square(np.asarray(images, "float64") - others), axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        return (-10 * np.log10(errors)).astype("float32")


def pass_scores(adversarial: ArrayLike, images: ArrayLike) -> np.ndarray:
    """The psychometric perceptual adversarial similarity score (PASS): 1 for what looks the same, less for what does not.

    Rozsa, Rudd and Boult, CVPR workshops 2016, section 3: the adversarial image is aligned with the original by the
    homography that maximizes the enhanced correlation coefficient (Evangelidis and Psarakis, PAMI 2008), on their luma; then
    structural similarity (Wang et al., 2004, on each channel) is averaged over the image. Where no alignment is found, as of an
    image of one color, there is none. Deep Defense reports the mean under DeepFool (table 2): the lower, the more an
    image had to change.

    Args:
      adversarial, images: float32 [examples, height, width, channels] in [0, 1], of 1 or 3 channels, at least 11 pixels wide
        and high.

    Returns:
      float32 [examples].

    Raises:
      InputError: where OpenCV is not installed, and for smaller images.

    Example:
      >>> pass_scores(test_images[:1] * 0.5 + 0.25, test_images[:1])
      array([0.83], dtype=float32)
    """
    import tensorflow as tf

    images, adversarial = (np.asarray(values, "float32") for values in (images, adversarial))
    if min(images.shape[1:3]) < WINDOW:
        raise InputError(f"PASS needs images of at least {WINDOW} pixels to a side, got {images.shape[1:]}")
    pairs = zip(adversarial, images, strict=True)
    aligned = np.stack([_aligned(*pair).reshape(images.shape[1:]) for pair in pairs]) if len(images) else adversarial
    return tf.image.ssim(aligned, images, max_val=1.0, filter_size=WINDOW).numpy()


def _aligned(image, original):
    """An image moved onto the original, in float32 [height, width, channels]; beyond its border its edge goes on."""
    try:
        import cv2
    except ImportError as error:
        raise InputError("PASS needs OpenCV: pip install 'tfrobust[perceptual]'") from error
    gray, other = (values @ _LUMA if values.shape[-1] == 3 else values[..., 0] for values in (original, image))
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _ITERATIONS, _ENOUGH)
    try:
        _, homography = cv2.findTransformECC(  # type: ignore[call-overload]  # the mask may be None
            gray, other, np.eye(3, dtype="float32"), cv2.MOTION_HOMOGRAPHY, criteria, None, 1
        )
    except cv2.error:  # it does not converge, or there is nothing to correlate
        return image
    height, width = image.shape[:2]
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(image, homography, (width, height), flags=how, borderMode=cv2.BORDER_REPLICATE)
