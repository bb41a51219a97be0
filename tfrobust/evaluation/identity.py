"""What an attack is, as a text that is equal only for attacks that do the same: by all its values."""

import contextvars
import dataclasses
import enum
import functools
import hashlib
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from tfrobust.attacks.fields import Array


def text(value) -> str:
    """A text of a value and of all values in it: fields, arrays by their contents, functions by their code."""
    for kind, describe in _KINDS.items():
        if isinstance(value, kind):
            return describe(value)
    if dataclasses.is_dataclass(value):
        fields = {field.name: vars(value)[field.name] for field in dataclasses.fields(value)}
        return f"{_name(type(value))}({_methods(type(value))};{text(fields)})"
    return repr(value)


def _name(value):
    return f"{value.__module__}.{value.__qualname__}"


def _methods(kind):
    """The code of a class's own methods: a class of equal name may do something else."""
    return "".join(text(part) for part in vars(kind).values() if isinstance(part, types.FunctionType))


def _function(function):
    inside = _INSIDE.get()
    if any(function is one for one in inside):  # it calls itself
        return _name(function)
    before = _INSIDE.set((*inside, function))
    try:
        closure = text([cell.cell_contents for cell in function.__closure__ or ()])
    finally:
        _INSIDE.reset(before)
    return _name(function) + _code(function.__code__) + closure


def _code(code):
    return hashlib.sha256(code.co_code + text(code.co_consts).encode() + repr(code.co_names).encode()).hexdigest()[:16]


_INSIDE: contextvars.ContextVar[tuple[types.FunctionType, ...]] = contextvars.ContextVar("inside", default=())
_KINDS: dict[type | tuple[type, ...], Callable[[Any], str]] = {
    Array: lambda array: array.digest,
    np.ndarray: lambda array: hashlib.sha256(f"{array.dtype}{array.shape}".encode() + array.tobytes()).hexdigest(),
    (tuple, list, frozenset): lambda values: f"({','.join(map(text, values))})",
    dict: lambda values: text([*values.items()]),
    types.FunctionType: _function,
    functools.partial: lambda bound: text((bound.func, bound.args, bound.keywords)),
    types.CodeType: _code,
    type: _name,
    enum.Enum: str,
}
