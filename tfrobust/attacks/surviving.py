"""Adversarial images that are to fool as they are and as JPEG files.

A file's rounding is passed straight through backward (BPDA: Athalye, Carlini and Wagner, ICML 2018, section 4.1); what an
attack sees are the answers, to the image or to its file, that are further from what it wants.
"""

import dataclasses

import tensorflow as tf

from tfrobust import balls
from tfrobust.attacks import fields, grid
from tfrobust.attacks.compose import Wrapper
from tfrobust.attacks.problem import Problem
from tfrobust.data.image_files import decode
from tfrobust.errors import InputError


def as_jpeg(images: tf.Tensor, quality: int) -> tf.Tensor:
    """What a JPEG file holds of images; the gradient is passed straight through.

    Written as `tf.io.encode_jpeg` does, with colors at half the resolution; read by the accurate inverse transform.

    Args:
      images: float32 [batch, height, width, channels] in [0, 1], of 1 or 3 channels; NaN is written as 0.
      quality: 1 to 100.

    Returns:
      float32, like the images.

    Example:
      >>> fooled = predict(as_jpeg(adversarial, 75)) != labels
    """
    shape = images.shape[1:]

    def file(pixels):
        return tf.ensure_shape(decode(tf.io.encode_jpeg(pixels, quality=quality)), shape)

    @tf.custom_gradient
    def through(images):
        read = tf.map_fn(file, tf.cast(grid.levels(images), tf.uint8))
        return grid.values(tf.cast(read, tf.float32)), lambda upstream: upstream

    return through(images)


@dataclasses.dataclass(frozen=True)
class SurvivingProblem(Problem):
    """The problem of an attacker whose image is no success unless its JPEG files are, too. Each question asks about all.

    Attributes:
      qualities: of the files.
    """

    qualities: tuple[int, ...] = ()

    def surviving(self, quality: int) -> "SurvivingProblem":
        """The problem with one more file. What is known of the clean images is not asked again."""
        more = self.replace(qualities=(*self.qualities, quality))
        return more if self.clean is None else more.replace(clean=self._harder(self.clean, self.images, quality))

    def counted(self, queries: int) -> "SurvivingProblem":
        return super().counted(queries - len(self.qualities))

    def _ask(self, x):
        answers = super()._ask(x)
        for quality in self.qualities:
            answers = self._harder(answers, self.shown(x), quality)
        return answers

    def _harder(self, answers, images, quality):
        """These answers, or those to the images' files where they are further from what the attacker wants."""
        as_they_are = self.replace(pixels=None, on_grid=False, qualities=())
        of_file = as_they_are._ask(as_jpeg(images, quality))
        harder = self.margin_of(of_file) < self.margin_of(answers)
        return tf.where(balls.per_example(harder, answers), of_file, answers)


@dataclasses.dataclass(frozen=True)
class Surviving(Wrapper):
    """An attack whose images fool as they are and as JPEG files.

    For several qualities, or a range of them, wrap it again: what survives one need not survive a better one.

    Attributes:
      attack: the attack inside, of any access. Each of its questions is two, of a nested one three.
      jpeg: the files' quality, 1 to 100.

    Raises:
      InputError: when called with images of other than 1 or 3 channels.

    Memory: that of the attack inside, and of two batches of images.

    Example:
      >>> attack = Surviving(pgd(balls.Linf(4 / 255), steps=40), jpeg=75)
      >>> adversarial = attack(logits_fn, images, labels, seed=0)
    """

    jpeg: fields.Quality = 75

    name = "surviving"

    def pose(self, problem: Problem) -> Problem:
        channels = problem.images.shape[-1]
        if channels not in (1, 3):
            raise InputError(f"surviving: JPEG files have 1 or 3 channels, the images have {channels}")
        problem = super().pose(problem)
        if not isinstance(problem, SurvivingProblem):
            problem = SurvivingProblem(**vars(problem))
        return problem.surviving(self.jpeg)
