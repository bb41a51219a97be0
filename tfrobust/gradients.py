"""The only gradient tapes that attacks use.

`logits_fn` maps images [batch, height, width, channels] to logits [batch, classes]. Everything here is itself
differentiable, so a defence can train through it.
"""

import abc

import tensorflow as tf


class LogitsFn(abc.ABC):
    """A logits function that knows more than a plain one: see `Confined` and `Averaged`."""

    samples = 1

    @abc.abstractmethod
    def __call__(self, images):
        """Images -> logits."""

    @abc.abstractmethod
    def for_rows(self, rows):
        """The same for some examples of the batch, int [rows]."""

    @abc.abstractmethod
    def one_draw(self):
        """The same without the mean over several draws."""


class Confined(LogitsFn):
    """Logits of images of which only some pixels count; the others are those of the clean images.

    Args:
      logits_fn: images -> logits.
      images: the clean images, float32 [batch, height, width, channels].
      pixels: bool, broadcasts against the images: which ones count.
    """

    def __init__(self, logits_fn, images, pixels):
        self.logits_fn, self.images, self.pixels = logits_fn, images, pixels
        self.samples = samples(logits_fn)

    def images_of(self, images):
        """What the model is shown."""
        return tf.where(self.pixels, images, self.images)

    def __call__(self, images):
        return self.logits_fn(self.images_of(images))

    def for_rows(self, rows):
        return Confined(for_rows(self.logits_fn, rows), tf.gather(self.images, rows), self.pixels)

    def one_draw(self):
        return Confined(one_draw(self.logits_fn), self.images, self.pixels)


class Averaged(LogitsFn):
    """The mean logits of several draws of a random model."""

    def __init__(self, logits_fn, samples):
        self.logits_fn, self.samples = logits_fn, samples

    def __call__(self, images):
        def add(index, total):
            return index + 1, total + self.logits_fn(images)

        first = (1, tf.convert_to_tensor(self.logits_fn(images)))
        return tf.while_loop(lambda *_: True, add, first, maximum_iterations=self.samples - 1)[1] / self.samples

    def for_rows(self, rows):
        return Averaged(for_rows(self.logits_fn, rows), self.samples)

    def one_draw(self):
        return self.logits_fn


def for_rows(logits_fn, rows):
    """What an attack calls once it works on some examples of its batch only, int [rows]."""
    return logits_fn.for_rows(rows) if isinstance(logits_fn, LogitsFn) else logits_fn


def one_draw(logits_fn):
    """A logits function without the mean over several draws."""
    return logits_fn.one_draw() if isinstance(logits_fn, LogitsFn) else logits_fn


def samples(logits_fn):
    """Over how many draws a logits function takes the mean."""
    return logits_fn.samples if isinstance(logits_fn, LogitsFn) else 1


def value_and_gradient(objective, logits_fn, images, labels):
    """One forward and one backward pass, or their mean over the draws of an `Averaged` logits function.

    Args:
      objective: a function from `objectives`.
      logits_fn: images -> logits.
      images: float32 [batch, height, width, channels].
      labels: int [batch].

    Returns:
      (value float32 [batch], gradient of each example's value with respect to its own image).
    """
    images = tf.convert_to_tensor(images)
    draw, draws = one_draw(logits_fn), samples(logits_fn)

    def evaluate():
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            value = objective(draw(images), labels)
        return value, tape.gradient(value, images)

    if draws == 1:
        return evaluate()

    def add(*totals):
        return tuple(total + term for total, term in zip(totals, evaluate()))

    totals = tf.while_loop(lambda *_: True, add, evaluate(), maximum_iterations=draws - 1)
    return tuple(total / draws for total in totals)


def logits_and_pullback(logits_fn, images):
    """One forward pass, and a function that runs backward passes through it.

    Returns:
      (logits [batch, classes], pullback), where `pullback(weights [batch, classes])` is the gradient of
      `sum_k weights_k * logits_k` with respect to each image. Call it as often as needed: class gradients are
      `pullback(one_hot(k))`, a boundary's normal is `pullback(one_hot(k) - one_hot(label))`.
    """
    images = tf.convert_to_tensor(images)
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(images)
        logits = logits_fn(images)

    def pullback(weights):
        return tape.gradient(logits, images, output_gradients=weights)

    return logits, pullback
