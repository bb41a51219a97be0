"""What a training step refuses: images on another scale, probabilities, and a loss that expects them."""

import contextlib

import keras
import tensorflow as tf

from tfrobust.errors import InputError

_SCALE = "images must lie in [0, 1]: divide pixels of 0 to 255 by 255; networks here preprocess inside"
_PROBABILITIES = "the network gives probabilities, which hide gradients from attacks: remove its softmax"
_MESSAGES = (_SCALE, _PROBABILITIES)


def checked_images(images) -> tf.Tensor:
    """Images, that must lie in [0, 1]: of a graph, when it runs.

    Raises:
      InputError: for whole numbers.
    """
    images = tf.convert_to_tensor(images)
    if not images.dtype.is_floating:
        raise InputError(f"images must be float32 in [0, 1], got {images.dtype.name}: divide them by 255")
    low, high = tf.reduce_min(images), tf.reduce_max(images)
    one, zero = tf.cast(1.0, images.dtype), tf.cast(0.0, images.dtype)
    inside = [tf.debugging.assert_less_equal(high, one, _SCALE), tf.debugging.assert_greater_equal(low, zero, _SCALE)]
    with tf.control_dependencies([one for one in inside if one is not None]):
        return tf.identity(images)


def checked_logits(logits) -> tf.Tensor:
    """Logits in float32, whatever the network computes in, that must not be probabilities: of a graph, when it runs."""
    logits = tf.cast(logits, tf.float32)
    off = tf.reduce_max(tf.abs(tf.reduce_sum(logits, axis=1) - 1.0))
    probabilities = (tf.reduce_min(logits) >= 0.0) & (off <= 1e-3)  # not those of a network that has become NaN
    found = tf.debugging.Assert(~probabilities, [_PROBABILITIES])
    with tf.control_dependencies([found] if found is not None else []):
        return tf.identity(logits)


def check_loss(loss) -> None:
    """Raises `InputError` for a compiled loss that takes probabilities, where networks give logits."""
    known = keras.losses.get(loss) if isinstance(loss, str) else loss
    named = loss if isinstance(loss, str) else type(loss).__name__
    expects = isinstance(known, keras.losses.Loss) and known.get_config().get("from_logits") is False
    if expects or (isinstance(loss, str) and "crossentropy" in loss.lower()):
        raise InputError(
            f"the loss {named} expects probabilities, but the network gives logits: compile with "
            "keras.losses.SparseCategoricalCrossentropy(from_logits=True)"
        )


@contextlib.contextmanager
def as_input_errors():
    """Turns what these checks find while a graph runs into an `InputError`."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        for message in _MESSAGES:
            if message in str(error):
                raise InputError(message) from None
        raise
