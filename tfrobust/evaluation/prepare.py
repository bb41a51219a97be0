"""From what users give to what is attacked: arrays, named attacks and predictions, or a refusal that says why."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust import attacks as attacks_lib
from tfrobust import data, targets
from tfrobust.attacks import Attack
from tfrobust.errors import InputError
from tfrobust.evaluation.predictor import Predictor


class Examples(NamedTuple):
    """What is attacked.

    Attributes:
      images: float32 [examples, height, width, channels] in [0, 1].
      labels: int [examples].
      attacked: bool [examples], those that are attacked: the clean image is classified correctly, and is wanted.
    """

    images: np.ndarray
    labels: np.ndarray
    attacked: np.ndarray


def named_attacks(attacks: Iterable[Attack | str]) -> Mapping[str, Attack]:
    """Attacks by the texts that they were asked for by.

    Raises:
      InputError: for a text that cannot be parsed.
    """
    return {str(attack): attacks_lib.parse(attack) if isinstance(attack, str) else attack for attack in attacks}


def images_and_labels(images, labels, models: Iterable[targets.Target]) -> tuple[np.ndarray, np.ndarray]:
    """float32 images and int labels that all the models take.

    Raises:
      InputError: for images outside [0, 1] or of another kind or size, or labels that do not match.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    data.check_images(images, labels)
    images = images.astype("float32")
    for model in models:
        model.check(images)
    return images, labels


def predictor(target: targets.Target, batch_size: int, examples: int) -> Predictor:
    """The predictor of a target, whose batches are no larger than they need be and split evenly over all devices."""
    devices = tf.distribute.get_strategy().num_replicas_in_sync
    return Predictor(target, -(-min(batch_size, examples) // devices) * devices)


def clean_logits(predictor: Predictor, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What a model answers for the clean images: float32 [examples, classes].

    Raises:
      InputError: for answers that are no logits, or a label that is no class of the model.
    """
    logits = predictor.logits(images)
    targets.check_logits(logits, predictor.name)
    if labels.max() >= logits.shape[1]:
        raise InputError(f"{predictor.name} has {logits.shape[1]} classes, but there is a label {labels.max()}")
    return logits
