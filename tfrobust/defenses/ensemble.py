"""Several networks that vote as one: Random Mask's "EN", five networks that differ in their masks.

    logits           mean_m z_m(x)
    probabilities    log mean_m softmax(z_m(x))        whose softmax is the mean of the members' probabilities

Luo et al., ICLR 2019 submission, section 3.3, which does not say what it averages.
"""

from collections.abc import Iterable
from typing import Any

import keras

from tfrobust.defenses.defense import Batch, Defense, Losses
from tfrobust.errors import InputError
from tfrobust.layers import MemberAverage


def ensemble(members: Iterable[keras.Model], average: str = "logits") -> keras.Model:
    """Joins networks into one, with one graph to attack and to export.

    The members are not copied: they share their layers and weights with the ensemble, and keep their own names. Inside
    it they are numbered, resnet18_1, resnet18_2, ..., unless all their names differ.

    Args:
      members: functional Keras models from the same images to logits of the same classes, each one once.
      average: what is averaged, "logits" or "probabilities", which gives log-probabilities: logits as good as any.

    Returns:
      A model from float32 images [batch, height, width, channels] in [0, 1] to logits [batch, classes].

    Raises:
      InputError: for no members, one that comes twice or is not functional, or members that do not agree.

    Example:
      >>> ensemble([tfrobust.models.lenet(), tfrobust.models.lenet()], average="probabilities").output_shape
      (None, 10)
    """
    members = list(members)
    _check(members)
    distinct = len({member.name for member in members}) == len(members)
    images = keras.Input(members[0].input_shape[1:], name="image")
    logits = []
    for number, member in enumerate(members, start=1):
        name = member.name if distinct else f"{member.name}_{number}"
        logits.append(keras.Model(member.inputs[0], member.outputs[0], name=name)(images))
    return keras.Model(images, MemberAverage(average, name="average")(logits), name="ensemble")


def is_ensemble(network: keras.Model) -> bool:
    """Whether a network was made by `ensemble`."""
    return isinstance(network.layers[-1], MemberAverage)


def _check(members):
    if not members:
        raise InputError("an ensemble needs at least one member")
    for member in members:
        inputs, outputs = _ends(member)
        if len(inputs) != 1 or len(outputs) != 1:
            found = f"{len(inputs)} inputs and {len(outputs)} outputs"
            raise InputError(f"members must have one input and one output; {member.name} has {found}")
    if len({id(member) for member in members}) < len(members):
        raise InputError("a member comes twice: build each network anew, with weights of its own")
    _check_same("input_shape", {member.input_shape: member.name for member in members})
    _check_same("output_shape", {member.output_shape: member.name for member in members})


def _ends(member):
    """The inputs and outputs of a functional model; only such a model has them."""
    try:
        return member.inputs, member.outputs
    except AttributeError as error:
        raise InputError(
            f"members must be functional Keras models; of a defense give its .network; got {member!r}"
        ) from error


def _check_same(what, members):
    """Refuses more than one shape; each comes with the name of a member that has it."""
    if len(members) > 1:
        found = ", ".join(f"{shape} of {name}" for shape, name in members.items())
        raise InputError(f"members must agree in their {what}; got {found}")


@keras.saving.register_keras_serializable(package="tfrobust")
class IndependentMembers(Defense):
    """An ensemble whose members train at once, each as if alone: on its own loss, on the same batches.

    The loss is the sum of the members' losses, so that every member has its own gradient; each of them is reported
    beside it. Metrics such as accuracy are of the ensemble. Only an optimizer that looks at all weights together
    (`global_clipnorm`, the loss scale of mixed_float16) makes members depend on one another.

    Args:
      network: what `ensemble` returned. It is trained in place.

    Raises:
      InputError: for a network of another kind.

    Example:
      >>> model = IndependentMembers(ensemble([tfrobust.models.lenet(), tfrobust.models.lenet()]))
      >>> model.compile(keras.optimizers.SGD(0.1),
      ...               keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
      >>> model.fit(images, labels, batch_size=100, epochs=5)
      >>> model.network.save("model.keras")
    """

    def __init__(self, network: keras.Model, **kwargs: Any):
        if not is_ensemble(network):
            raise InputError(f"IndependentMembers trains what ensemble() returns; {network.name} is not an ensemble")
        super().__init__(network, settings={}, **kwargs)

    def call(self, images, training=None):
        """Images -> a dict from each member's name to its logits."""
        members = [layer for layer in self.network.layers if isinstance(layer, keras.Model)]
        return {member.name: member(images, training=training) for member in members}

    def losses_of(self, batch: Batch, training: bool) -> Losses:
        answers = self(batch.images, training=training)
        return Losses(self.compute_loss(*batch[:2], answers, batch.sample_weight, training), answers, reported={})

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        labels = dict.fromkeys(y_pred, y)
        weights = None if sample_weight is None else dict.fromkeys(y_pred, sample_weight)
        return super().compute_loss(x, labels, y_pred, weights, training)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return super().compute_metrics(x, y, self.network.layers[-1](list(y_pred.values())), sample_weight)
