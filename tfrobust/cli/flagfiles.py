"""Flagfiles: those of the user, and those that come with the trainers, by name."""

import importlib.resources
import pathlib
from collections.abc import Iterator, Sequence

from tfrobust.errors import InputError, unknown

_SUFFIX = ".flags"


def shipped() -> dict[str, pathlib.Path]:
    """The flagfiles that come with the trainers: name -> path."""
    folder = pathlib.Path(str(importlib.resources.files("trainers"))) / "configs"
    return {path.stem: path for path in sorted(folder.glob(f"*{_SUFFIX}"))}


def expanded(arguments: Sequence[str]) -> list[str]:
    """Arguments with the contents of each --flagfile=PATH and --config=NAME in its place, also of those inside.

    A path that is not there is looked for among the shipped ones by its last part.

    Raises:
      InputError: for a file that is neither there nor shipped, and for one that includes itself.
    """
    return list(_expanded(arguments, ()))


def _expanded(arguments, inside) -> Iterator[str]:
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.lstrip("-").partition("=")
        if argument == "--":
            yield from (argument, *rest)
        elif argument.startswith("-") and name in ("flagfile", "config"):
            path = _found(name, value if equals else next(rest, ""))
            if path in inside:
                raise InputError(f"--{name}: {path} includes itself")
            lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
            flags = [line for line in lines if line and not line.startswith(("#", "//"))]
            yield from _expanded(flags, (*inside, path))
        else:
            yield argument


def _found(flag, value):
    path, known = pathlib.Path(value).expanduser(), shipped()
    if flag == "flagfile" and path.is_file():
        return path.resolve()
    name = path.name.removesuffix(_SUFFIX)
    if name not in known:
        raise InputError(f"--{flag}: {unknown('configuration', name, known)}")
    return known[name].resolve()
