"""A training from its configuration to what it leaves in the workdir: the same for every program."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import tfrobust as tfr
from tfrobust.cli.devices import Devices
from trainers import adversarial_set, defense, fitting, networks, workdir
from trainers.config import TrainingConfig
from trainers.feeds import Feed, Feeds

if TYPE_CHECKING:  # `--help` does not wait for them
    import keras


def no_measure(network: "keras.Model", test: Feed) -> dict[str, float]:
    """Nothing beside the accuracy."""
    return {}


def run(
    config: TrainingConfig,
    devices: Devices,
    load: Callable[[], Feeds],
    measure: "Callable[[keras.Model, Feed], dict[str, float]]" = no_measure,
) -> None:
    """Loads the data, makes the network, fits it with its defense and saves it; resumes what was interrupted.

    Args:
      config: the training.
      devices: where it computes.
      load: loads the data, after TensorFlow has started.
      measure: what is measured of the trained network on the test examples, by name, beside the accuracy.
    """
    started = time.monotonic()
    strategy = devices.start()
    chief = tfr.distribution.is_chief(strategy)
    feeds = load()
    network = networks.make_network(config.network, feeds.sample, config.seed)
    with strategy.scope():
        trained = fitting.copy_for_training(network, strategy, config.optimization.precision)
        model = defense.defend(trained, config.defense, config.seed)
        train = adversarial_set.training_feed(feeds.train, network, config.defense)
        fitting.compile_model(model, config, examples=train.examples)
        workdir.open_workdir(config, chief)  # now that all flags have been looked at
        history = fitting.fit(model, config, strategy, train, feeds.validation)
    network.set_weights(trained.get_weights())
    if chief:
        workdir.save(config, network, feeds.test, history, started, **measure(network, feeds.test))
