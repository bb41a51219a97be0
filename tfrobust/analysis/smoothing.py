"""Randomized smoothing: a certified l2 radius for any classifier, from how it answers about noisy copies of an image.

Cohen, Rosenfeld and Kolter, ICML 2019. The smoothed classifier answers what the model answers most often about

    x + sigma * normal noise

and, if that has a probability of at least p > 1/2, it does not change within an l2 distance of sigma * the normal quantile of
p (theorem 1). p is bounded from below by the exact binomial interval of Clopper and Pearson.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from tqdm import tqdm

from tfrobust.analysis.asked import asked
from tfrobust.errors import InputError
from tfrobust.targets import ModelLike

ABSTAINED = -1


class Certificates(NamedTuple):
    """What was certified.

    Attributes:
      predictions: int64 [examples], the smoothed classifier's; `ABSTAINED` where it is not sure enough.
      radii: float64 [examples], the certified l2 radii on the [0, 1] pixel scale; 0 where it abstained.
    """

    predictions: np.ndarray
    radii: np.ndarray

    def accuracy(self, labels: ArrayLike, radius: float = 0.0) -> float:
        """The certified accuracy: the share of images whose prediction is right, for sure, within a radius."""
        return float(((self.predictions == np.asarray(labels)) & (self.radii >= radius)).mean())


def certify(
    model: ModelLike,
    images: ArrayLike,
    sigma: float,
    *,
    samples: int = 100_000,
    selection: int = 100,
    alpha: float = 0.001,
    batch_size: int = 1000,
    seed: int = 0,
    progress: bool = True,
) -> Certificates:
    """CERTIFY of section 3.2.2: right with probability 1 - alpha for each image.

    Args:
      model: a target, a Keras model, a path of one, or a function from images to logits or labels. It is asked about
        images that leave [0, 1]; train it on such, with `tfrobust.defenses.NoiseTraining`.
      images: float32 [examples, height, width, channels] in [0, 1].
      sigma: standard deviation of the noise, on the [0, 1] pixel scale.
      samples: n, noisy copies of each image by which the probability is bounded.
      selection: n_0, those by which the class is chosen before.
      alpha: the probability of a certificate that is wrong.
      batch_size: copies at a time.
      seed: of the noise.
      progress: whether to show a progress bar.

    Raises:
      InputError: for numbers that make no sense, and for what is no classifier of such images.

    Example:
      >>> certify(network, images, sigma=0.25, samples=10_000).accuracy(labels, radius=0.5)
      0.87
    """
    images = _checked(images, sigma, alpha, samples, selection)
    counts = _Counts(model, images, sigma, batch_size, seed)
    predictions, radii = np.full(len(images), ABSTAINED), np.zeros(len(images))
    for index in tqdm(range(len(images)), "certifying", unit="image", disable=None if progress else True):
        chosen = int(np.argmax(counts.of(index, selection, 0, classes=2)))
        agreeing = int(counts.of(index, samples, 1, classes=chosen + 1)[chosen])
        interval = stats.binomtest(agreeing, samples, alternative="greater").proportion_ci(1 - alpha, method="exact")
        if interval.low > 0.5:
            predictions[index], radii[index] = chosen, sigma * stats.norm.ppf(interval.low)
    return Certificates(predictions, radii)


def predict(
    model: ModelLike,
    images: ArrayLike,
    sigma: float,
    *,
    samples: int = 1000,
    alpha: float = 0.001,
    batch_size: int = 1000,
    seed: int = 0,
    progress: bool = True,
) -> np.ndarray:
    """PREDICT of section 3.2.1: the smoothed classifier's answers, int64 [examples], each right with probability 1 - alpha.

    `ABSTAINED` where the two likeliest classes are not told apart, by a two-sided binomial test. Arguments: see `certify`.
    """
    images = _checked(images, sigma, alpha, samples, 1)
    counts = _Counts(model, images, sigma, batch_size, seed)
    predictions = np.full(len(images), ABSTAINED)
    for index in tqdm(range(len(images)), "smoothing", unit="image", disable=None if progress else True):
        found = counts.of(index, samples, 2, classes=2)
        second, first = np.argsort(found, kind="stable")[-2:]
        both = int(found[first] + found[second])
        if both and stats.binomtest(int(found[first]), both).pvalue <= alpha:
            predictions[index] = first
    return predictions


def _checked(images, sigma, alpha, samples, selection) -> np.ndarray:
    if not sigma > 0:
        raise InputError(f"sigma is a positive standard deviation on the [0, 1] pixel scale; got {sigma!r}")
    if not 0 < alpha < 0.5:
        raise InputError(f"alpha is the probability of a wrong certificate, above 0 and below 1/2; got {alpha!r}")
    if min(samples, selection) < 1:
        raise InputError(f"at least one noisy copy of each image is needed; got {min(samples, selection)}")
    return np.asarray(images, "float32")


class _Counts:
    """How often a model answers each class about noisy copies."""

    def __init__(self, model, images, sigma, batch_size, seed):
        _, self._predictor = asked(model, images, batch_size)
        self._images, self._sigma, self._batch_size, self._seed = images, np.float32(sigma), batch_size, seed

    def of(self, index: int, samples: int, purpose: int, classes: int) -> np.ndarray:
        """int [classes, or more]: of one image; the noise follows from the seed, the image's place and the purpose.

        Answers that are NaN count for no class.
        """
        random = np.random.default_rng([self._seed, index, purpose])
        counts = np.zeros(classes, int)
        for start in range(0, samples, self._batch_size):
            shape = (min(self._batch_size, samples - start), *self._images.shape[1:])
            noisy = self._images[index] + self._sigma * random.standard_normal(shape, dtype="float32")
            predictions = self._predictor.predictions(noisy)
            found = np.bincount(predictions[predictions >= 0], minlength=len(counts))
            counts = found + np.pad(counts, (0, len(found) - len(counts)))
        return counts
