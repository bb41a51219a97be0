"""A limit on how often an attack may ask about each example, for models whose answers cost money or raise alarms."""

import dataclasses
import threading

import numpy as np
import tensorflow as tf

from tfrobust import gradients
from tfrobust.attacks.wrappers import Wrapper
from tfrobust.errors import InputError

_CERTAIN = 1e4  # scores times this say what they said before, with no doubt


@dataclasses.dataclass(frozen=True)
class Budget(Wrapper):
    """An attack from scores or labels that asks the model only so often about each example, and not once more.

    When nothing is left, the attack hears that whatever it tries is as hopeless as the clean image; so it keeps the best
    that it has.

    Attributes:
      attack: the attack inside.
      queries: per example, one of them for the clean image before the attack begins.

    Example:
      >>> attack = Budget(Square(balls.Linf(8 / 255)), queries=1000)
      >>> adversarial = attack(lambda images: my_python_classifier(images.numpy()), images, labels, seed=0)
    """

    queries: int = 1000

    def __post_init__(self):
        super().__post_init__()
        if self.needs == "gradients":
            raise InputError("a budget of queries is for attacks from scores or labels, such as square(linf(8/255))")
        if not isinstance(self.queries, int) or self.queries < 1:
            raise InputError(f"queries must be a whole number of at least 1, got {self.queries!r}")

    def __call__(self, logits_fn, images, labels, *, seed):
        images = tf.convert_to_tensor(images)
        left = _Left()
        rows = tf.numpy_function(left.begin, [tf.fill(tf.shape(images)[:1], self.queries - 1)], tf.int32)
        rows = tf.ensure_shape(rows, images.shape[:1])
        clean = tf.convert_to_tensor(logits_fn(images))
        return self.attack(_Counted(logits_fn, left, clean, rows), images, labels, seed=seed)


class _Left:
    """How many queries are left for each example of a batch. Counts in Python, from wherever TensorFlow calls."""

    def __init__(self):
        self.lock = threading.Lock()  # TensorFlow may call from several threads

    def begin(self, queries):
        """Starts with so many for each example: int32 [batch]. Returns the examples' numbers."""
        self.queries = queries.copy()
        return np.arange(len(queries), dtype=np.int32)

    def take(self, rows):
        """One query for each of these rows, which may repeat: bool, whether there is one left."""
        with self.lock:
            return self._take(rows)

    def _take(self, rows):
        order = np.argsort(rows, kind="stable")
        earlier = np.empty_like(rows)  # how often the same row stands before: [7, 3, 7, 7] -> [0, 0, 1, 2]
        earlier[order] = np.arange(len(rows)) - np.searchsorted(rows[order], rows[order])
        allowed = earlier < self.queries[rows]
        np.subtract.at(self.queries, rows[allowed], 1)
        return allowed


class _Counted(gradients.LogitsFn):
    """Answers from the model as long as there are queries left for an example.

    Args:
      logits_fn: images -> logits [images, classes] or labels [images].
      left: the `_Left` of the batch.
      clean: the answers for the clean images of these rows.
      rows: int32 [images], which example of the batch each image belongs to; one may occur several times.
    """

    def __init__(self, logits_fn, left, clean, rows):
        self.logits_fn, self.left, self.clean, self.rows = logits_fn, left, clean, rows
        self.samples = gradients.samples(logits_fn)

    def for_rows(self, rows):
        logits_fn = gradients.for_rows(self.logits_fn, rows)
        return _Counted(logits_fn, self.left, tf.gather(self.clean, rows), tf.gather(self.rows, rows))

    def one_draw(self):
        return _Counted(gradients.one_draw(self.logits_fn), self.left, self.clean, self.rows)

    def __call__(self, images):
        allowed = tf.ensure_shape(tf.numpy_function(self.left.take, [self.rows], tf.bool), [None])
        asked = tf.cast(tf.where(allowed)[:, 0], tf.int32)
        hopeless = self.clean * _CERTAIN if self.clean.dtype.is_floating else self.clean

        def ask():
            answers = tf.convert_to_tensor(gradients.for_rows(self.logits_fn, asked)(tf.gather(images, asked)))
            return tf.tensor_scatter_nd_update(hopeless, asked[:, None], tf.cast(answers, hopeless.dtype))

        return tf.cond(tf.size(asked) > 0, ask, lambda: hopeless)
