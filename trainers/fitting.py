"""Fits a compiled model to the end of its last epoch, from the last checkpoint on."""

import contextlib
import pathlib
import sys
import tempfile
from typing import TYPE_CHECKING

import tfrobust as tfr
from trainers import defense, optimization
from trainers.config import TrainingConfig
from trainers.feeds import Feed, as_feed

if TYPE_CHECKING:  # `--help` does not wait for them
    import keras
    import tensorflow as tf

_WATCHED = 200  # images that --watch_attack is made on


def copy_for_training(network: "keras.Model", strategy: "tf.distribute.Strategy", precision: str) -> "keras.Model":
    """A copy on the strategy's devices and in `precision`. Call it in the strategy's scope.

    The network itself is not compiled, so that its file needs no optimizer of these programs to be opened.
    """
    copy = optimization.in_precision(network, precision)
    if strategy.num_replicas_in_sync > 1:
        tfr.distribution.synchronize(copy)
    return copy


def compile_model(model: "keras.Model", config: TrainingConfig, examples: int) -> None:
    """Compiles a model with the configuration's optimizer and loss, for that many training examples."""
    updates = examples // config.batch_size * getattr(model, "updates_per_step", 1)
    model.compile(
        optimizer=optimization.make_optimizer(config.optimization, updates, config.epochs),
        loss=optimization.make_loss(config.optimization),
        metrics=["accuracy"],
    )


def fit(
    model: "keras.Model",
    config: TrainingConfig,
    strategy: "tf.distribute.Strategy",
    train: "Feed | tfr.data.Split",
    validation: "Feed | tfr.data.Split",
) -> dict[str, list[float]]:
    """Fits a compiled model, resuming from the last checkpoint in the workdir if there is one.

    Args:
      model: a compiled Keras model, made in the scope of `strategy`. Call this in it, too.
      config: the training; its workdir exists.
      strategy: the `tf.distribute.Strategy` to train under.
      train, validation: feeds, or splits.

    Returns:
      The history of all epochs: name -> list of values.
    """
    import keras

    from trainers import checkpoints

    keras.utils.set_random_seed(config.seed)  # which the order of the examples depends on, too
    folder = config.workdir / "checkpoints"
    history = checkpoints.restore(folder, model)
    tfr.distribution.wait_for_all(strategy)  # before anybody writes
    stopped = checkpoints.stops(history, config.early_stop) or tfr.callbacks.CatastrophicOverfitting.in_history(history)
    first = config.epochs if stopped else len(history)
    train, validation = as_feed(train), as_feed(validation)
    batches = train.training(config, first)
    _create_variables(model, batches)
    with _callbacks(config, strategy, folder, history, train, validation) as callbacks:
        model.fit(
            batches,
            validation_data=validation.batches(),
            steps_per_epoch=train.examples // config.batch_size,
            initial_epoch=first,
            epochs=config.epochs,
            callbacks=[*callbacks, tfr.callbacks.EpochLines(seconds=10), *_progress_bar()],
            shuffle=False,  # the feed has done it
            verbose=0,
        )
    tfr.distribution.wait_for_all(strategy)  # the chief has written
    if config.early_stop:
        model.load_weights(folder / "best.weights.h5")
    history = next(one for one in callbacks if isinstance(one, checkpoints.Checkpoints)).history
    return {name: [epoch[name] for epoch in history] for name in (history[0] if history else ())}


def _create_variables(model, batches):
    """The optimizer's and the metrics': Keras makes them while it traces the first step, and then traces that once more."""
    import tensorflow as tf

    network = model.network if isinstance(model, tfr.defenses.Defense) else model
    labels, logits = batches.element_spec[1].shape, network.output_shape
    model.optimizer.build(model.trainable_variables)
    model._compile_metrics.build(tf.zeros([1, *labels[1:]]), tf.zeros([1, *logits[1:]]))


def _progress_bar():
    """On a terminal, a bar that is gone when the training is done."""
    if not sys.stdout.isatty():
        return []
    from tqdm.keras import TqdmCallback

    return [TqdmCallback(verbose=1, leave=False, dynamic_ncols=True)]


@contextlib.contextmanager
def _callbacks(config, strategy, folder, history, train, validation):
    """What a defense needs, what is measured, checkpoints and, on the chief, TensorBoard.

    Saving is a step of all workers; the others' files are thrown away.
    """
    import keras

    from trainers import checkpoints

    with tempfile.TemporaryDirectory() as elsewhere:
        chief = tfr.distribution.is_chief(strategy)
        folder = folder if chief else pathlib.Path(elsewhere)
        callbacks = [checkpoints.Checkpoints(folder, history, config.early_stop)]
        if config.optimization.averaging:
            callbacks.insert(0, keras.callbacks.SwapEMAWeights())  # the average is validated
        if config.defense.kind == "fast":
            attack = f"pgd({defense.ball_of(config.defense)}, steps=5)"
            callbacks.insert(0, tfr.callbacks.CatastrophicOverfitting(attack, *_first(train, config.batch_size)))
        if config.perturbation_examples:
            callbacks.insert(0, tfr.callbacks.Perturbations(*_first(validation, config.perturbation_examples)))
        logs = config.workdir / "tensorboard"
        if config.watch_attack:
            few, pictures = _first(validation, _WATCHED), logs if chief else None
            name = "watched_robust_accuracy"
            callbacks.insert(0, tfr.callbacks.RobustAccuracy(config.watch_attack, *few, name=name, log_dir=pictures))
        if chief:
            _write_hyperparameters(config, logs)
            callbacks.append(keras.callbacks.TensorBoard(logs, write_graph=False))
        yield callbacks


def _write_hyperparameters(config, folder):
    """What TensorBoard's HParams compares runs by."""
    import tensorflow as tf
    from tensorboard.plugins.hparams import api as hparams

    with tf.summary.create_file_writer(str(folder)).as_default():
        hparams.hparams(config.hyperparameters())


def _first(feed, examples):
    """The images and labels of the first examples of a feed, as arrays."""
    import numpy as np

    taken = [[part.numpy() for part in batch[:2]] for batch in feed.batches().unbatch().batch(examples).take(1)]
    return tuple(map(np.concatenate, zip(*taken)))
