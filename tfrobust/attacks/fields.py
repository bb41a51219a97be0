"""What the fields of an attack may hold: each kind is an annotation, checked when the attack is made.

    steps: Count = 10                    a whole number of at least 1; NumPy's scalars are as good as Python's
    step_size: Positive | None = None    None is allowed where the annotation says so

A value comes out as a plain Python number, so that equal attacks compare equal and print alike.
"""

import dataclasses
import functools
import hashlib
import math
import numbers
import typing
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np

from tfrobust import balls
from tfrobust.errors import InputError
from tfrobust.objectives import Objective


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of value.

    Attributes:
      description: what is expected, for the error message.
      convert: from a value to the one that is kept; None if it is not of this kind.
    """

    description: str
    convert: Callable[[object], object]


def _whole(least: int, most: float = math.inf) -> Kind:
    def convert(value):
        if isinstance(value, numbers.Integral) and not isinstance(value, bool) and least <= int(value) <= most:
            return int(value)
        return None

    what = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
    return Kind(f"a whole number {what}", convert)


def _real(description: str, holds: Callable[[float], bool]) -> Kind:
    def convert(value):
        if not isinstance(value, numbers.Real) or isinstance(value, bool):
            return None
        number = int(value) if isinstance(value, numbers.Integral) else float(value)
        return number if math.isfinite(number) and holds(number) else None

    return Kind(description, convert)


def _one_of(description: str, holds: Callable[[object], bool]) -> Kind:
    return Kind(description, lambda value: value if holds(value) else None)


def _flag(value):
    return bool(value) if isinstance(value, (bool, np.bool_)) else None


Count = Annotated[int, _whole(1)]
Whole = Annotated[int, _whole(0)]
Several = Annotated[int, _whole(2)]
Crowd = Annotated[int, _whole(4)]
Quality = Annotated[int, _whole(1, 100)]
Positive = Annotated[float, _real("a positive number", lambda value: value > 0)]
NonNegative = Annotated[float, _real("a number of at least 0", lambda value: value >= 0)]
Share = Annotated[float, _real("above 0 and at most 1", lambda value: 0 < value <= 1)]
ProperShare = Annotated[float, _real("above 0 and below 1", lambda value: 0 < value < 1)]
Signed = Annotated[float, _real("from -1 to 1 and not 0", lambda value: 0 < abs(value) <= 1)]
Flag = Annotated[bool, Kind("True or False", _flag)]
Kept = Annotated[str, _one_of("best or last", lambda value: value in ("best", "last"))]
Shape = Annotated[str, _one_of("pixels or patch", lambda value: value in ("pixels", "patch"))]
Maximized = Annotated[
    Objective,
    _one_of(
        "a function of logits and labels, such as cross_entropy, margin or dlr",
        lambda value: callable(value) and not isinstance(value, type),
    ),
]

_SMOOTH = (balls.Linf, balls.L2)  # where steepest ascent moves many values a step
NormBall = Annotated[
    balls.Ball,
    _one_of(
        "a linf, l2 or l1 ball with a radius, such as linf(8/255)",
        lambda value: isinstance(value, (*_SMOOTH, balls.L1)),
    ),
]
SmoothBall = Annotated[
    balls.Ball,
    _one_of("a linf or l2 ball with a radius, such as linf(8/255)", lambda value: isinstance(value, _SMOOTH)),
]
AnyBall = Annotated[
    balls.Ball,
    _one_of(
        "a linf, l2, l1 or l0 ball, such as linf(8/255)",
        lambda value: isinstance(value, (*_SMOOTH, balls.L1, balls.L0)),
    ),
]
Pixels = Annotated[balls.L0, _one_of("a number of pixels, such as l0(1)", lambda value: isinstance(value, balls.L0))]
L0Norm = Annotated[type[balls.Ball], _one_of("l0", lambda value: value is balls.L0)]
L1Norm = Annotated[type[balls.Ball], _one_of("l1", lambda value: value is balls.L1)]
L2Norm = Annotated[type[balls.Ball], _one_of("l2", lambda value: value is balls.L2)]
SmoothNorm = Annotated[type[balls.Ball], _one_of("l2 or linf", lambda value: value in _SMOOTH)]
AnyNorm = Annotated[
    type[balls.Ball],
    _one_of("l2, linf, l1 or l0", lambda value: value in (*_SMOOTH, balls.L1, balls.L0)),
]
NormBallOrNorm = Annotated[
    balls.Ball | type[balls.Ball],
    _one_of(
        "l2, linf or l1, or a ball of these such as linf(8/255)",
        lambda value: isinstance(value, (*_SMOOTH, balls.L1)) or value in (*_SMOOTH, balls.L1),
    ),
]


class Array:
    """A constant array that compares, hashes and prints: by its contents, or by the file it came from.

    Args:
      values: an array, an `Array`, or the path of an .npy file.

    Raises:
      InputError: for a file that cannot be read.
    """

    def __init__(self, values):
        self.path = values if isinstance(values, str) else None
        try:
            self.values = np.asarray(np.load(values, allow_pickle=False) if self.path else values)
        except (OSError, ValueError) as error:
            raise InputError(f"{values} is not a readable .npy file") from error
        if isinstance(values, Array):
            self.path = values.path
        contents = np.ascontiguousarray(self.values)
        self.digest = hashlib.sha256(f"{contents.dtype}{contents.shape}".encode() + contents.tobytes()).hexdigest()

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype, copy=copy)

    def __eq__(self, other):
        return isinstance(other, Array) and self.digest == other.digest

    def __hash__(self):
        return hash(self.digest)

    def __repr__(self):
        return repr(self.path) if self.path else f"<{self.values.dtype} {list(self.values.shape)} {self.digest[:8]}>"


def _array(description: str, holds: Callable[[np.ndarray], bool]) -> Kind:
    def convert(value):
        array = Array(value)
        return array if holds(array.values) else None

    return Kind(description, convert)


# These three are given as an array or the path of a file, and held as an `Array`.
Mask = Annotated[
    Any,
    _array(
        "bool [height, width] or the path of an .npy file with that, some of it True",
        lambda values: values.dtype == bool and values.ndim == 2 and values.any(),
    ),
]
Images = Annotated[
    Any,
    _array(
        "float images [candidates, height, width, channels] in [0, 1] or the path of an .npy file with them",
        lambda values: values.ndim == 4 and values.dtype.kind == "f" and values.min() >= 0 and values.max() <= 1,
    ),
]
Patch = Annotated[
    Any,
    _array(
        "a patch, float [side, side, channels + 1] in [0, 1] with what it covers last, or the path of an .npy file with it",
        lambda values: (
            values.ndim == 3
            and values.dtype.kind == "f"
            and values.shape[0] == values.shape[1]
            and values.shape[2] > 1
            and values.min() >= 0
            and values.max() <= 1
        ),
    ),
]


@functools.cache
def _kinds(cls) -> dict:
    """Field name -> (its kind, whether None is allowed)."""
    found = {}
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        options = [hint] if typing.get_origin(hint) is Annotated else typing.get_args(hint)
        for option in options:
            if typing.get_origin(option) is Annotated:
                found[name] = (option.__metadata__[0], type(None) in options)
    return found


def check(instance: object, name: str) -> None:
    """Checks and converts the annotated fields of a frozen dataclass, from its `__post_init__`.

    Args:
      instance: the dataclass.
      name: what the error message calls it.

    Raises:
      InputError: naming the field, what it takes and what came.
    """
    for field, (kind, optional) in _kinds(type(instance)).items():  # type: ignore[arg-type]  # mypy thinks that types are not hashable
        value = vars(instance)[field]
        if value is not None or not optional:
            object.__setattr__(instance, field, _converted(f"{name}: {field}", kind, value))


def checked(name: str, annotation, value):
    """A value as an annotation of this file wants it; raises `InputError` for another."""
    return _converted(name, annotation.__metadata__[0], value)


def _converted(name, kind, value):
    kept = kind.convert(value)
    if kept is None:
        raise InputError(f"{name} must be {kind.description}, got {value!r}")
    return kept
