"""What the trainers share: flags, networks made from them, fitting, and what a run leaves in its workdir."""

import contextlib
import json
import pathlib
import sys
import tempfile
import time

from absl import flags

import tfrobust as tfr
from tfrobust import files
from tfrobust.errors import InputError
from trainers import optimization, program, strategies

WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder for flags.txt, model.keras, metrics.json, checkpoints/, tensorboard/.", required=True
)
SEED = flags.DEFINE_integer("seed", 0, "Seed of the initial weights and of the order of the examples.", lower_bound=0)
EPOCHS = flags.DEFINE_integer("epochs", 10, "Passes over the training data; 0 only evaluates.", lower_bound=0)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 100, "Examples per step, over all devices.", lower_bound=1)
VALIDATION_EXAMPLES = flags.DEFINE_integer(
    "validation_examples", 0, "Hold out so many training examples; 0 shows the test split's accuracy.", lower_bound=0
)
EARLY_STOP = flags.DEFINE_integer(
    "early_stop",
    None,
    "Stop after so many epochs without a better validation accuracy, and keep the best.",
    lower_bound=1,
)
INIT_WEIGHTS = flags.DEFINE_string(
    "init_weights", None, "Start from a .keras file, or from an .npz of LAYER_kernel, LAYER_bias and mean_image."
)


def load_splits(name):
    """The training, validation and test examples of a data set."""
    train, test = (program.load_data(name, split) for split in ("train", "test"))
    held_out = VALIDATION_EXAMPLES.value
    if EARLY_STOP.value and not held_out:
        raise InputError("--early_stop chooses by validation accuracy: hold some out by --validation_examples=5000")
    if held_out >= len(train.labels):
        raise InputError(f"--validation_examples={held_out} leaves nothing of {len(train.labels)} training examples")
    kept = len(train.labels) - held_out
    if BATCH_SIZE.value > kept:
        raise InputError(f"--batch_size={BATCH_SIZE.value} is more than the {kept} examples")
    return train.take(kept), (train.drop(kept) if held_out else test), test


def make_network(name, train, std=1 / 255, **arguments):
    """The network that --model and --init_weights ask for. A new one subtracts the training set's mean image.

    Args:
      name: of a network in `tfrobust.models`.
      train: the training split.
      std, arguments: of the network's builder.

    Raises:
      InputError: if the weights cannot be read or do not fit the network or the data.
    """
    weights = INIT_WEIGHTS.value
    if weights and weights.endswith(".keras"):
        network = tfr.targets.load_model(weights)
        tfr.targets.KerasTarget(network, weights).check(train.images)
        if network.output_shape[-1] < train.classes:
            raise InputError(f"{weights} has {network.output_shape[-1]} classes, the data {train.classes}")
        tfr.targets.check_logits(network.predict(train.take(16).floats(), verbose=0), weights)
        return network
    shape = train.images.shape[1:]
    arrays = tfr.data.read_arrays(weights) if weights else {}
    try:
        mean = arrays["mean_image"].reshape(shape) / 255 if "mean_image" in arrays else train.mean_image()
        network = tfr.models.build(name, input_shape=shape, classes=train.classes, mean=mean, std=std, **arguments)
        for layer in network.layers if weights else []:
            layer.set_weights([arrays[f"{layer.name}_{variable.name}"] for variable in layer.weights])
    except (KeyError, ValueError) as error:
        raise InputError(f"{name} with {weights or 'new weights'} does not fit images of {shape}: {error}") from error
    return network


def open_workdir(strategy):
    """Makes the workdir and, on the chief, writes flags.txt, a flagfile that repeats the run.

    Raises:
      InputError: if the workdir holds a run with other flags.
    """
    workdir = files.writable_folder(WORKDIR.value)
    key_flags = flags.FLAGS.get_key_flags_for_module(sys.argv[0])
    text = "".join(f"{flag.serialize()}\n" for flag in key_flags if flag.value not in (None, []))
    written = workdir / "flags.txt"
    if written.exists() and written.read_text() != text:
        raise InputError(f"{workdir} holds a run with other flags (see {written}); choose another --workdir")
    if strategies.is_chief(strategy):
        with files.written(written) as path:
            path.write_text(text)
    return workdir


def fit(strategy, defend, network, train, validation, augmentation=None):
    """Trains a network in place, going on from the last checkpoint if there is one.

    Args:
      strategy: the `tf.distribute.Strategy` to train under.
      defend: from a network to the Keras model that trains it.
      network: made outside the strategy; what is trained is a copy, unless one device trains it as it is.
      train, validation: splits.
      augmentation: see `tfrobust.data.training_batches`.

    Returns:
      The history of all epochs: name -> list of values.
    """
    from trainers import checkpoints

    steps = len(train.labels) // BATCH_SIZE.value
    with strategy.scope():
        trained = _copy_for_training(network, strategy)
        model = defend(trained)
        model.compile(
            optimizer=optimization.make_optimizer(steps, EPOCHS.value),
            loss=optimization.make_loss(),
            metrics=["accuracy"],
        )
        workdir = open_workdir(strategy)  # now that all flags have been looked at
        folder = workdir / "checkpoints"
        history = checkpoints.restore(folder, model)
        strategies.wait_for_all(strategy)  # before anybody writes
        first = EPOCHS.value if checkpoints.stops(history, EARLY_STOP.value) else len(history)
        batches = tfr.data.training_batches(
            train,
            BATCH_SIZE.value,
            seed=SEED.value,
            epochs=EPOCHS.value,
            first_epoch=first,
            augmentation=augmentation,
        )
        with _callbacks(strategy, workdir, folder, history) as callbacks:
            model.fit(
                batches,
                validation_data=tfr.data.batches(validation, batch_size=200),
                steps_per_epoch=steps,
                initial_epoch=first,
                epochs=EPOCHS.value,
                callbacks=callbacks,
                shuffle=False,  # `training_batches` has done it
                verbose=verbosity(),
            )
        strategies.wait_for_all(strategy)  # the chief has written
        if EARLY_STOP.value:
            model.load_weights(folder / "best.weights.h5")
    if trained is not network:
        network.set_weights(trained.get_weights())
    history = callbacks[0].history
    return {name: [epoch[name] for epoch in history] for name in (history[0] if history else ())}


def _copy_for_training(network, strategy):
    """The network itself, or a copy on the strategy's devices, in --precision."""
    precision = optimization.PRECISION.value
    if strategy.num_replicas_in_sync == 1 and precision == "float32":
        return network
    copy = optimization.in_precision(network, precision)
    if strategy.num_replicas_in_sync > 1:
        strategies.synchronize(copy)
    return copy


@contextlib.contextmanager
def _callbacks(strategy, workdir, folder, history):
    """Checkpoints and, on the chief, TensorBoard. Saving is a step of all workers; the others' files are thrown away."""
    import keras

    from trainers import checkpoints

    with tempfile.TemporaryDirectory() as elsewhere:
        chief = strategies.is_chief(strategy)
        folder = folder if chief else pathlib.Path(elsewhere)
        callbacks = [checkpoints.Checkpoints(folder, history, EARLY_STOP.value)]
        if chief:
            callbacks.append(keras.callbacks.TensorBoard(workdir / "tensorboard", write_graph=False))
        yield callbacks


def finish(network, test, history, started, **measured):
    """Writes to the workdir model.keras and metrics.json: accuracy on the test split, what else was measured, and the history."""
    logits = network.predict(test.floats(), batch_size=500, verbose=0)
    workdir = pathlib.Path(WORKDIR.value)
    metrics = {"accuracy": tfr.evaluation.metrics.accuracy(logits.argmax(axis=1), test.labels), **measured}
    with files.written(workdir / "model.keras") as path:
        network.save(path)
    with files.written(workdir / "metrics.json") as path:
        finite = {name: None if value == float("inf") else value for name, value in metrics.items()}  # JSON has no inf
        seconds = round(time.monotonic() - started, 1)
        finite |= {"examples": len(test.labels), "history": history, "seconds": seconds}
        path.write_text(json.dumps(finite, indent=2) + "\n")
    shown = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
    print(f"test: {shown}\nmodel: {workdir / 'model.keras'}")


def perturbation_metrics(network, test):
    """The robustness that Deep Defense reports: rho_2 and l2 under DeepFool, rho_inf under FGSM, on all test images."""

    def logits_fn(images):
        return network(images, training=False)

    images, labels, origin = test.floats(), test.labels, tfr.layers.origin(network)
    rho_2, l2 = tfr.evaluation.metrics.deepfool_rho_2(logits_fn, images, labels, origin=origin)
    rho_inf, radius = tfr.evaluation.metrics.fgsm_rho_inf(logits_fn, images, labels, origin=origin)
    return {"rho_2": float(rho_2.mean()), "l2": float(l2.mean()), "rho_inf": rho_inf, "fgsm_radius_at_half": radius}


def verbosity():
    """A progress bar on a terminal, a line an epoch in a log."""
    return 1 if sys.stdout.isatty() else 2


for module in (optimization, program, strategies):
    flags.adopt_module_key_flags(module)
