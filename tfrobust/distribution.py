"""Several devices: one machine's or several machines' (`tf.distribute`), and what every replica must agree on."""

import json
import os

import keras
import tensorflow as tf

from tfrobust.errors import InputError


def make_strategy(kind: str = "auto", virtual_devices: int | None = None) -> tf.distribute.Strategy:
    """The strategy for the devices at hand. Call it before TensorFlow computes anything.

    Args:
      kind: "one" device; "mirrored": all GPUs of this machine; "multi_worker": the machines of TF_CONFIG; "auto": all
        available devices.
      virtual_devices: split the CPU into this many devices and use those.

    Returns:
      A `tf.distribute.Strategy`; make models and optimizers in its scope.

    Raises:
      InputError: where TF_CONFIG is needed and missing, or cannot be read.

    Example:
      >>> strategy = make_strategy("mirrored")
      >>> with strategy.scope():
      ...     model = build_and_compile()
    """
    if virtual_devices:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * virtual_devices)
    workers = _workers()
    if kind == "multi_worker" and not workers:
        raise InputError(
            "--strategy=multi_worker needs TF_CONFIG, such as "
            '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, "task": {"type": "worker", "index": 0}}'
        )
    if kind == "multi_worker" or (kind == "auto" and workers > 1):
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        _mend_fit()
        return strategy
    gpus = [] if virtual_devices else tf.config.list_logical_devices("GPU")
    devices = [device.name for device in gpus or tf.config.list_logical_devices("CPU")]
    if kind == "mirrored" or (kind == "auto" and len(devices) > 1):
        return tf.distribute.MirroredStrategy(devices)
    return tf.distribute.get_strategy()


def _workers():
    """How many workers TF_CONFIG names; 0 without it."""
    text = os.environ.get("TF_CONFIG", "")
    try:
        cluster = json.loads(text or "{}").get("cluster", {})
        return len(cluster.get("chief", [])) + len(cluster.get("worker", []))
    except (ValueError, AttributeError) as error:
        raise InputError(f"TF_CONFIG is not the JSON that tf.distribute takes: {text[:80]!r}") from error


def _mend_fit():
    """Repairs what keeps `fit` of Keras 3.15 from running on several workers (keras-team/keras issue 20585).

    It would build the model from one worker's share of a batch, and average scalars over an axis they do not have.
    The models here are built before they are fitted.
    """
    from keras.src.backend.tensorflow import trainer

    reduce = trainer.reduce_per_replica

    def reduce_per_replica(values, strategy, reduction):
        if reduction not in ("auto", "mean"):
            return reduce(values, strategy, reduction)
        return tf.nest.map_structure(lambda value: strategy.reduce("MEAN", value, axis=None), values)

    trainer.reduce_per_replica = reduce_per_replica
    trainer.TensorFlowTrainer._maybe_symbolic_build = lambda *_, **__: None


def synchronize(network: keras.Model) -> None:
    """Lets all batch normalization take its statistics over all devices, as it would over a whole batch on one."""
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            synchronize(layer)
        elif isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes files: always, but for the workers that follow a chief."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    chief = "chief" if "chief" in resolver.cluster_spec().as_dict() else "worker"
    return resolver.task_type == chief and resolver.task_id == 0


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Returns when every worker has come here."""

    @tf.function(autograph=False)
    def meet():
        return strategy.reduce("SUM", strategy.run(lambda: tf.constant(1.0)), axis=None)

    meet()
