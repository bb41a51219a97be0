"""A limit on how often an attack may ask about each example, for models whose answers cost money or raise alarms."""

import dataclasses

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
        object.__setattr__(self, "_left", [])  # the counter, once TensorFlow may start

    def __call__(self, logits_fn, images, labels, *, seed):
        images = tf.convert_to_tensor(images)
        if not self._left:
            with tf.init_scope():  # outside of whatever function is being compiled
                self._left.append(tf.Variable(tf.zeros([0], tf.int32), shape=[None], trainable=False))
        left = self._left[0]
        clean = tf.convert_to_tensor(logits_fn(images))
        rows = tf.range(tf.shape(images)[0])
        left.assign(tf.fill(tf.shape(rows), self.queries - 1))
        return self.attack(_Counted(logits_fn, left, clean, rows), images, labels, seed=seed)


class _Counted(gradients.LogitsFn):
    """Answers from the model as long as there are queries left for an example.

    Args:
      logits_fn: images -> logits [images, classes] or labels [images].
      left: a variable int32 [batch], the queries that are left.
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
        allowed = _earlier(self.rows) < tf.gather(self.left, self.rows)
        asked = tf.cast(tf.where(allowed)[:, 0], tf.int32)
        self.left.scatter_nd_sub(tf.gather(self.rows, asked)[:, None], tf.ones_like(asked))
        hopeless = self.clean * _CERTAIN if self.clean.dtype.is_floating else self.clean

        def ask():
            answers = tf.convert_to_tensor(gradients.for_rows(self.logits_fn, asked)(tf.gather(images, asked)))
            return tf.tensor_scatter_nd_update(hopeless, asked[:, None], tf.cast(answers, hopeless.dtype))

        return tf.cond(tf.size(asked) > 0, ask, lambda: hopeless)


def _earlier(rows):
    """How often the same row stands earlier in the list: [7, 3, 7, 7] -> [0, 0, 1, 2]."""
    order = tf.argsort(rows, stable=True)
    placed = tf.gather(rows, order)
    rank = tf.range(tf.size(rows)) - tf.searchsorted(placed, placed)
    return tf.scatter_nd(order[:, None], rank, tf.shape(rows))
