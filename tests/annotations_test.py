"""What users import says of every parameter what it takes, and of every call what it returns."""

import functools
import importlib
import inspect

import pytest

import tfrobust

MODULES = [*(name for name in tfrobust.__all__ if name not in ("InputError", "evaluate")), "engines", "errors", "files"]


def public(module):
    """What a module offers: `__all__`, or what it defines itself."""
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
    for name in getattr(module, "__all__", [name for name in own if not name.startswith("_")]):
        value = getattr(module, name)
        if inspect.ismodule(value):
            yield from public(value)
        elif callable(value) and getattr(value, "__module__", "").startswith("tfrobust"):
            yield value


def functions(value):
    """A function itself; of a class its constructor, call, and public methods and properties that this library defines.

    Not those that override a method of a class outside it, such as `call` of a Keras layer: their signature is not ours.
    """
    if not inspect.isclass(value):
        yield inspect.unwrap(value)
        return
    ours = [base for base in value.__mro__ if base.__module__.startswith("tfrobust")]
    theirs = {name for base in value.__mro__ if base not in ours for name in vars(base)} - {"__init__"}
    for base in ours:
        for name, member in vars(base).items():
            if name not in theirs and (name in ("__init__", "__call__") or not name.startswith("_")):
                if isinstance(member, property):
                    yield member.fget
                elif isinstance(member, functools.cached_property):
                    yield member.func
                elif inspect.isroutine(member):
                    yield inspect.unwrap(member)


def missing(function):
    """The parameters without an annotation, and "return" where that is missing."""
    signature = inspect.signature(getattr(function, "__func__", function))
    for name, parameter in signature.parameters.items():
        if parameter.annotation is parameter.empty and name not in ("self", "cls"):
            yield name
    if signature.return_annotation is signature.empty and function.__name__ != "__init__":
        yield "return"


@pytest.mark.parametrize("name", MODULES)
def test_the_public_interface_is_annotated(name):
    for value in public(importlib.import_module(f"tfrobust.{name}")):
        for function in functions(value):
            assert not [*missing(function)], function
