"""The artificial checkerboard enhancer (ACE): a module before a network that draws its gradients to every fourth pixel.

    two layers   y = lam * F(x) + x              F a convolution 1x1 of stride 2, then a transposed one 3x3 of stride 2
    U-Net        y = lam * F(x) + (1 - lam) * x  F an autoencoder that begins with a convolution 1x1 of stride 2

F reads the pixels of even row and even column alone, the checkerboard C: the larger lam, the more of the gradient with
respect to x is on C. An attack that follows it is lost where the image is shifted by an odd number of pixels; an attacker
who knows of the shift differentiates through it.

ACE, ICLR 2019 submission, sections 4 and 5.
"""

import abc
import math
from typing import Any

import keras
import numpy as np
from keras import ops

from tfrobust.errors import InputError

Tensor = Any  # of whatever Keras computes with
FILTER = np.outer([0.5, 1.0, 0.5], [0.5, 1.0, 0.5])  # bilinear interpolation of every second pixel


class Enhancer(keras.layers.Layer, abc.ABC):
    """What both forms share: `lam`, a weight that is not trained and may be changed at any time.

    Attributes:
      lam: the weight: float32 []; `set_lam` changes it, and so does `layer.lam.assign`. It is saved with the others.
    """

    def __init__(self, lam: float, **kwargs: Any):
        self.check_lam(lam)
        super().__init__(**kwargs)
        self.initial_lam = lam

    @staticmethod
    @abc.abstractmethod
    def check_lam(lam: float) -> None:
        """Raises `InputError` for a lam that this form does not take."""

    def set_lam(self, lam: float) -> None:
        """Changes `lam` of a layer that is built.

        Raises:
          InputError: for a lam that this form does not take.
        """
        self.check_lam(lam)
        self.lam.assign(lam)

    def build(self, input_shape):
        """Adds `lam`; a form adds the weights of its F first."""
        if len(input_shape) != 4 or input_shape[-1] is None:
            raise InputError(f"ACE takes images [batch, height, width, channels], got {tuple(input_shape)}")
        initializer = keras.initializers.Constant(self.initial_lam)
        self.lam = self.add_weight(name="lam", shape=(), initializer=initializer, trainable=False)

    @abc.abstractmethod
    def reconstruct(self, images: Tensor) -> Tensor:
        """F(x), of the images' shape."""

    @abc.abstractmethod
    def shares(self) -> tuple[Tensor, Tensor]:
        """How much of F(x) and how much of x itself the output has: two numbers, of `lam`."""

    def call(self, images):
        of_copy, of_images = self.shares()
        return of_copy * self.reconstruct(images) + of_images * images

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "lam": self.initial_lam}


@keras.saving.register_keras_serializable(package="tfrobust")
class CheckerboardEnhancer(Enhancer):
    """The module of two layers, to be trained with the network behind it: lam * F(x) + x.

    It has no activation and does not clip. It stands behind the subtraction of the mean, before a network with batch
    normalization: others did not train with lam 10 and above.

    Args:
      lam: at least 0. 0 is the network alone; infinity drops x: F(x) is all that comes through.
      hidden: channels between the two layers. With many of them F(x) is large, and so a small lam acts as a large one.

    Input and output shape:
      [batch, height, width, channels] of any height and width, odd ones too.

    Raises:
      InputError: for a lam below 0, for `hidden` that is not a whole number of at least 1, or inputs that are no images.

    Example:
      >>> layer = CheckerboardEnhancer(lam=10.0)
      >>> layer(keras.ops.ones([1, 5, 4, 3])).shape
      TensorShape([1, 5, 4, 3])
      >>> layer.set_lam(float("inf"))
    """

    def __init__(self, lam: float = 10.0, hidden: int = 4, **kwargs: Any):
        if not (isinstance(hidden, int) and hidden >= 1):
            raise InputError(f"ACE: hidden must be a whole number of at least 1, got {hidden!r}")
        super().__init__(lam, **kwargs)
        self.hidden = hidden

    @staticmethod
    def check_lam(lam: float) -> None:
        if not lam >= 0:
            raise InputError(f"ACE: lam must be at least 0 (inf drops the image itself), got {lam}")

    def build(self, input_shape):
        super().build(input_shape)
        channels = input_shape[-1]
        options = {"strides": 2, "padding": "same", "dtype": self.dtype_policy}
        self.encoder = keras.layers.Conv2D(
            self.hidden, 1, kernel_initializer=_uniform(channels), name="encoder", **options
        )
        self.decoder = keras.layers.Conv2DTranspose(
            channels, 3, kernel_initializer=_uniform(9 * channels), name="decoder", **options
        )
        self.encoder.build(input_shape)
        self.decoder.build(self.encoder.compute_output_shape(input_shape))

    def reconstruct(self, images: Tensor) -> Tensor:
        height, width = ops.shape(images)[1:3]
        return self.decoder(self.encoder(images))[:, :height, :width]

    def shares(self) -> tuple[Tensor, Tensor]:
        lam = ops.cast(self.lam, self.compute_dtype)
        finite = lam < float("inf")
        return ops.where(finite, lam, ops.ones_like(lam)), ops.cast(finite, self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "hidden": self.hidden}


@keras.saving.register_keras_serializable(package="tfrobust")
class UNetEnhancer(Enhancer):
    """The form for networks that are trained already: lam * F(x) + (1 - lam) * x, with F a U-Net.

    F is trained alone, as an autoencoder: `layer.autoencoder` is a Keras model. Before that it interpolates every second
    pixel, which alone keeps most of a network's accuracy.

    Args:
      lam: from 0, the network alone, to 1, where all goes through F.
      width: channels of the U-Net at half the image's size; each further level has twice as many.
      depth: how often it halves the image after the first convolution.

    Input and output shape:
      [batch, height, width, channels] of known height and width.

    Raises:
      InputError: for a lam outside [0, 1], a width or depth that is not a whole number of at least 1, or images of
        unknown size.

    Example:
      >>> layer = UNetEnhancer(lam=0.99)
      >>> layer.build((None, 224, 224, 3))
      >>> layer.autoencoder.compile(keras.optimizers.Adam(2e-3), "mean_squared_error")
      >>> layer.autoencoder.fit(photographs, photographs, batch_size=8)
    """

    def __init__(self, lam: float = 0.99, width: int = 16, depth: int = 2, **kwargs: Any):
        if not all(isinstance(number, int) and number >= 1 for number in (width, depth)):
            raise InputError(f"ACE: width and depth must be whole numbers of at least 1, got {width!r}, {depth!r}")
        super().__init__(lam, **kwargs)
        self.width, self.depth = width, depth

    @staticmethod
    def check_lam(lam: float) -> None:
        if not 0 <= lam <= 1:
            raise InputError(f"ACE: lam of the U-Net form must be in [0, 1], got {lam}")

    def build(self, input_shape):
        super().build(input_shape)
        if None in input_shape[1:]:
            raise InputError(f"ACE: the U-Net form needs images of known size, got {tuple(input_shape)}")
        self.autoencoder = _unet(tuple(input_shape[1:]), self.width, self.depth, self.dtype_policy)

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.autoencoder(images)

    def shares(self) -> tuple[Tensor, Tensor]:
        lam = ops.cast(self.lam, self.compute_dtype)
        return lam, 1 - lam

    def get_config(self):
        return {**super().get_config(), "width": self.width, "depth": self.depth}


def _uniform(fan):
    """Uniform between plus and minus one over the root of `fan`."""
    limit = 1 / math.sqrt(fan)
    return keras.initializers.RandomUniform(-limit, limit)


def _unet(image_shape, width, depth, dtype):
    """An autoencoder of images that reads every second pixel, and interpolates those as long as it is not trained."""
    height, breadth, channels = image_shape
    images = keras.Input(image_shape, name="image")
    read = keras.layers.Conv2D(channels, 1, 2, kernel_initializer=_kept, name="read", dtype=dtype)(images)
    features = _level(read, width, depth, dtype)
    x = keras.layers.Concatenate(name="skip", dtype=dtype)([read, features])
    # The last row and column twice, to interpolate toward; the first of the output is outside of the image.
    x = ops.concatenate([x, x[:, -1:]], axis=1)
    x = ops.concatenate([x, x[:, :, -1:]], axis=2)
    write = keras.layers.Conv2DTranspose(channels, 3, 2, kernel_initializer=_interpolating, name="write", dtype=dtype)
    return keras.Model(images, write(x)[:, 1 : height + 1, 1 : breadth + 1], name="autoencoder")


def _level(x, width, depth, dtype):
    """Two convolutions and, between them, the same at half the size, until `depth` is 0."""
    convolve = _convolution(width, dtype)
    x = convolve(x, f"encode{depth}")
    if depth:
        below = _level(convolve(x, f"halve{depth}", 2), 2 * width, depth - 1, dtype)
        below = keras.layers.UpSampling2D(2, name=f"double{depth}", dtype=dtype)(below)
        below = below[:, : x.shape[1], : x.shape[2]]
        x = keras.layers.Concatenate(name=f"skip{depth}", dtype=dtype)([x, below])
    return convolve(x, f"decode{depth}")


def _convolution(width, dtype):
    def convolve(x, name, strides=1):
        options = {"padding": "same", "activation": "relu", "kernel_initializer": "he_normal", "dtype": dtype}
        return keras.layers.Conv2D(width, 3, strides, name=name, **options)(x)

    return convolve


def _kept(shape, dtype=None):
    """The kernel of a 1x1 convolution that changes nothing."""
    return ops.reshape(ops.eye(*shape[2:], dtype=dtype), shape)


def _interpolating(shape, dtype=None):
    """The kernel of a transposed convolution that interpolates its first channels, and ignores the others."""
    _, _, channels, inputs = shape
    return ops.convert_to_tensor(FILTER[:, :, None, None] * np.eye(channels, inputs), dtype)
