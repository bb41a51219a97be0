"""The network that an exporter is given."""

from typing import TYPE_CHECKING

import tfrobust as tfr

if TYPE_CHECKING:  # `--help` does not wait for it
    import keras


def load(path: str) -> "keras.Model":
    """Loads a `.keras` file whose network gives logits.

    Raises:
      InputError: for a file that is missing or damaged, or a network that gives probabilities.
    """
    import tensorflow as tf

    model = tfr.targets.load_model(path)
    # What it answers itself: a target would be without its softmax.
    tfr.targets.check_logits(model(tf.zeros([1, *model.input_shape[1:]])).numpy(), path)
    return model
