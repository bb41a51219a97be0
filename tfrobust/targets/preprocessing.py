"""What the first operations of a model say about the scale of the pixels that it takes."""

import numpy as np
import tensorflow as tf

from tfrobust.targets.bounds import PIXELS, UNIT, Bounds, wrong_scale

_FORM = {
    "Identity",
    "Cast",
    "Pad",
    "PadV2",
    "MirrorPad",
    "Reshape",
    "Transpose",
    "ReverseV2",
    "ResizeBilinear",
    "ConcatV2",
    "Tile",
}


def refuse_pixels(fed: tf.Tensor, name: str, bounds: Bounds | None) -> None:
    """Refuses a model that begins by scaling pixels of 0-255, where nobody said how images in [0, 1] should be scaled.

    Args:
      fed: what a model was called with, in the graph of a `tf.function`.
      name: the model's, for messages.
      bounds: what the user said, which is believed; None: nothing.

    Raises:
      InputError: saying what to write.
    """
    evidence = None if bounds is not None else first_scaling(fed)
    if evidence:
        raise wrong_scale(name, f"its first layers {evidence}, as for pixels of 0-255", PIXELS)


def first_scaling(fed: tf.Tensor) -> str | None:
    """How a graph scales pixels of 0-255 first, in words; None if it does not."""
    for operation in _path(fed):
        constants = [value for value in map(_value, operation.inputs) if value is not None]
        if not constants:
            continue
        evidence = of_operation(operation.type, constants[-1])
        if evidence or _enlarges(operation.type, constants[-1]):
            return evidence
    return None


def of_operation(kind: str, constant: np.ndarray) -> str | None:
    """What an operation with a constant does that only makes sense for pixels of 0-255, in words."""
    size = float(np.abs(constant).max(initial=0))
    if kind in ("Mul", "MUL") and 0 < size < 0.02:
        return f"multiply by {size:.3g}"
    if kind in ("RealDiv", "DIV") and size > 50:
        return f"divide by {size:.4g}"
    if kind in ("Sub", "AddV2", "BiasAdd", "SUB", "ADD") and size > 2:
        return f"shift by {size:.4g}"
    return None


def _enlarges(kind, constant):
    """Whether [0, 1] becomes 0-255, for what follows and was trained on that."""
    size = float(np.abs(constant).max(initial=0))
    return (kind == "Mul" and size > 50) or (kind == "RealDiv" and size < 0.02)


def _path(fed):
    """The operations that the images go through one after the other, as long as they only scale them."""
    while True:
        following = list({user.name: user for user in fed.consumers() if user.type != "Shape"}.values())
        if not following:
            return
        operation = following[0]
        yield operation
        split = all(user.type == "StridedSlice" for user in following)  # of channels, to put them in another order
        if not split and (len(following) > 1 or operation.type not in {*_FORM, "Mul", "RealDiv", "Sub", "AddV2"}):
            return
        fed = operation.outputs[0]
        if split and fed.consumers() and fed.consumers()[0].type in ("Pack", "ConcatV2"):
            fed = fed.consumers()[0].outputs[0]


def _value(tensor):
    """A float constant, or one that only changed its form; None for what is none."""
    value = tf.get_static_value(tensor)
    if value is not None:
        return value if np.issubdtype(value.dtype, np.floating) else None
    if tensor.op.type in _FORM | {"Squeeze", "ExpandDims"}:
        return _value(tensor.op.inputs[0])
    return _captured(tensor)


def _captured(tensor):
    """The value of what a function holds from outside, such as the mean of a Normalization layer."""
    captures = {id(inside): outside for outside, inside in tensor.graph.captures}
    outside = captures.get(id(tensor))
    if not isinstance(outside, tf.Tensor) or not outside.dtype.is_floating or tf.is_symbolic_tensor(outside):
        return None
    return outside.numpy()


def refuse_range(name: str, low: float, high: float, bounds: Bounds | None) -> None:
    """Refuses a file whose quantized input has the range of another scale, where nobody said which.

    Raises:
      InputError: saying what to write.
    """
    if bounds is None and (high > 2 or low < -0.25):
        likely = PIXELS if high > 50 else Bounds(float(round(low)), float(round(high)))
        if likely != UNIT:
            raise wrong_scale(name, f"its input's quantization reaches from {low:.4g} to {high:.4g}", likely)
