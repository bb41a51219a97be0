"""The network that an exporter is given, in float32."""

from typing import TYPE_CHECKING, Any

import tfrobust as tfr

if TYPE_CHECKING:  # `--help` does not wait for it
    import keras

_REDUCED = ("float16", "bfloat16", "mixed_float16", "mixed_bfloat16")


def load(path: str) -> "keras.Model":
    """Loads a `.keras` file whose network gives logits, and which computes in float32.

    Raises:
      InputError: for a file that is missing or damaged, or a network that gives probabilities.
    """
    import tensorflow as tf

    model = in_float32(tfr.targets.load_model(path))
    # What it answers itself: a target would be without its softmax.
    tfr.targets.check_logits(model(tf.zeros([1, *model.input_shape[1:]])).numpy(), path)
    return model


def in_float32(model: "keras.Model") -> "keras.Model":
    """The model itself or, of mixed precision, one of float32 layers with its weights.

    What was trained in half precision for speed would otherwise be exported with its rounding, and as operations that a
    CPU or LiteRT does not have.
    """
    import keras

    config = keras.saving.serialize_keras_object(model)
    changed = _of_float32(config)
    if changed == config:
        return model
    rebuilt = keras.saving.deserialize_keras_object(changed)
    rebuilt.set_weights(model.get_weights())
    return rebuilt


def _of_float32(config: Any) -> Any:
    """A configuration with float32 for every smaller type."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy" and config["config"]["name"] in _REDUCED:
            return {**config, "config": {"name": "float32"}}
        return {
            key: "float32" if key == "dtype" and value in _REDUCED else _of_float32(value)
            for key, value in config.items()
        }
    return type(config)(map(_of_float32, config)) if isinstance(config, (list, tuple)) else config
