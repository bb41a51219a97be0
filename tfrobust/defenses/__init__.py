"""Ways to train more robust networks: each is a `keras.Model` around a network, with its own `train_step`."""

from tfrobust.defenses.deep_defense import DeepDefense

__all__ = ["DeepDefense"]
