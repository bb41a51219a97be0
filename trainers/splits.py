"""The training, validation and test examples of a configuration that fit into memory."""

import tfrobust as tfr
from tfrobust.cli.data import DataSource
from tfrobust.errors import InputError
from trainers.config import TrainingConfig
from trainers.feeds import Feeds, SplitFeed


def load_splits(config: TrainingConfig, source: DataSource) -> "tuple[tfr.data.Split, tfr.data.Split, tfr.data.Split]":
    """Loads training, validation and test examples.

    Raises:
      InputError: for data that is not there, or too few examples for the batch or for what is held out.
    """
    train, test = (source.load(config.dataset, split) for split in ("train", "test"))
    held_out = config.validation_examples
    if config.early_stop and not held_out:
        raise InputError("--early_stop chooses by validation accuracy: hold some out by --validation_examples=5000")
    if held_out >= len(train.labels):
        raise InputError(f"--validation_examples={held_out} leaves nothing of {len(train.labels)} training examples")
    kept = len(train.labels) - held_out
    if config.batch_size > kept:
        raise InputError(f"--batch_size={config.batch_size} is more than the {kept} examples")
    return train.take(kept), (train.drop(kept) if held_out else test), test


def load_feeds(config: TrainingConfig, source: DataSource) -> Feeds:
    """What `load_splits` loads, for a training."""
    train, validation, test = load_splits(config, source)
    return Feeds(SplitFeed(train), SplitFeed(validation), SplitFeed(test, batch_size=500), sample=train)
