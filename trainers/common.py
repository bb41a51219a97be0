"""What the trainers share: flags, networks and optimizers made from them, and what a run leaves in its workdir."""

import json
import sys
import time

from absl import flags

import tfrobust as tfr
from tfrobust.errors import InputError
from trainers import program

WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder for flags.txt, model.keras, metrics.json, checkpoints/, tensorboard/.", required=True
)
SEED = flags.DEFINE_integer("seed", 0, "Seed of the initial weights and of the order of the examples.", lower_bound=0)
EPOCHS = flags.DEFINE_integer("epochs", 10, "Passes over the training data; 0 only evaluates.", lower_bound=0)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 100, "Examples per step.", lower_bound=1)
LEARNING_RATE = flags.DEFINE_float("learning_rate", 5e-4, "Initial learning rate of SGD.", lower_bound=0.0)
LEARNING_RATE_DROPS = flags.DEFINE_list(
    "learning_rate_drops", [], "Epochs after which the learning rate is multiplied by --learning_rate_factor."
)
LEARNING_RATE_FACTOR = flags.DEFINE_float(
    "learning_rate_factor", 0.5, "See --learning_rate_drops.", lower_bound=0.0, upper_bound=1.0
)
MOMENTUM = flags.DEFINE_float("momentum", 0.9, "Momentum of SGD.", lower_bound=0.0, upper_bound=1.0)
WEIGHT_DECAY = flags.DEFINE_float("weight_decay", 5e-4, "Times each weight, added to its gradient.", lower_bound=0.0)
INIT_WEIGHTS = flags.DEFINE_string(
    "init_weights", None, "Start from a .keras file, or from an .npz of LAYER_kernel, LAYER_bias and mean_image."
)


def make_network(name, train):
    """The network that --model and --init_weights ask for. A new one subtracts the training set's mean image.

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
        network = tfr.models.build(name, input_shape=shape, classes=train.classes, mean=mean, std=1 / 255)
        for layer in network.layers if weights else []:
            layer.set_weights([arrays[f"{layer.name}_{variable.name}"] for variable in layer.weights])
    except (KeyError, ValueError) as error:
        raise InputError(f"{name} with {weights or 'new weights'} does not fit images of {shape}: {error}") from error
    return network


def make_optimizer(steps_per_epoch):
    """SGD with momentum, L2 weight decay and the step schedule, from the flags."""
    import keras

    class SGD(keras.optimizers.SGD):
        """With the decay inside the gradient, as the papers train; Keras' own `weight_decay` bypasses the momentum."""

        def update_step(self, gradient, variable, learning_rate):
            super().update_step(gradient + WEIGHT_DECAY.value * variable, variable, learning_rate)

    rate = LEARNING_RATE.value
    drops = [int(epoch) if epoch.isdecimal() else 0 for epoch in LEARNING_RATE_DROPS.value]
    if drops != sorted({*drops} - {0}):
        raise InputError(f"--learning_rate_drops takes rising epochs, such as 4,8; got {LEARNING_RATE_DROPS.value}")
    if drops:
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(
            [epoch * steps_per_epoch for epoch in drops],
            [rate * LEARNING_RATE_FACTOR.value**drop for drop in range(len(drops) + 1)],
        )
    return SGD(rate, momentum=MOMENTUM.value)


def open_workdir():
    """Makes the workdir and writes flags.txt, a flagfile that repeats the run.

    Raises:
      InputError: if the workdir holds a run with other flags.
    """
    workdir = program.writable_folder(WORKDIR.value)
    key_flags = flags.FLAGS.get_key_flags_for_module(sys.argv[0])
    text = "".join(f"{flag.serialize()}\n" for flag in key_flags if flag.value not in (None, []))
    written = workdir / "flags.txt"
    if written.exists() and written.read_text() != text:
        raise InputError(f"{workdir} holds a run with other flags (see {written}); choose another --workdir")
    with program.written(written) as path:
        path.write_text(text)
    return workdir


def callbacks(workdir):
    """TensorBoard, and a checkpoint after each epoch from which the same command goes on after a stop."""
    import keras

    return [
        keras.callbacks.TensorBoard(workdir / "tensorboard", write_graph=False),
        keras.callbacks.BackupAndRestore(workdir / "checkpoints", delete_checkpoint=False, double_checkpoint=True),
    ]


def finish(workdir, network, test, history, started):
    """Evaluates the network on the test split and writes model.keras and metrics.json."""
    metrics_file = workdir / "metrics.json"
    if not history and metrics_file.exists():  # the same command again: nothing was left to train
        history = json.loads(metrics_file.read_text())["history"]
    images, labels = test.floats(), test.labels
    logits = network.predict(images, batch_size=500, verbose=0)
    origin = tfr.layers.origin(network)
    rho_2, l2 = tfr.evaluation.metrics.deepfool_rho_2(
        lambda x: network(x, training=False), images, labels, origin=origin
    )
    rho_inf, radius = tfr.evaluation.metrics.fgsm_rho_inf(
        lambda x: network(x, training=False), images, labels, origin=origin
    )
    metrics = {
        "accuracy": tfr.evaluation.metrics.accuracy(logits.argmax(axis=1), labels),
        "rho_2": float(rho_2.mean()),
        "l2": float(l2.mean()),
        "rho_inf": rho_inf,
        "fgsm_radius_at_half": radius,
        "examples": len(labels),
        "history": {name: [float(value) for value in values] for name, values in history.items()},
        "seconds": round(time.monotonic() - started, 1),
    }
    with program.written(workdir / "model.keras") as path:
        network.save(path)
    with program.written(metrics_file) as path:
        finite = {name: None if value == float("inf") else value for name, value in metrics.items()}  # JSON has no inf
        path.write_text(json.dumps(finite, indent=2) + "\n")
    shown = "  ".join(f"{name} {metrics[name]:.4f}" for name in ("accuracy", "rho_2", "l2", "rho_inf"))
    print(f"test: {shown}\nmodel: {workdir / 'model.keras'}")
    return metrics


def verbosity():
    """A progress bar on a terminal, a line an epoch in a log."""
    return 1 if sys.stdout.isatty() else 2
