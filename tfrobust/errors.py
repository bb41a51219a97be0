"""The one exception that says: the caller must change something, and this is what."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """A wrong argument, file or model. The message names what was expected, what came, and the remedy.

    Programs turn it into one line on standard error and exit code 2; every other exception is a bug of ours
    and keeps its traceback.
    """


class EmptyShardError(InputError):
    """There are fewer examples than shards, so that this one has none of them: nothing is wrong, and nothing to do."""


def unknown(what: str, name: object, known: Iterable[str]) -> str:
    """What is said of a name that there is not: the nearest ones that there are, and all of them.

    Example:
      >>> unknown("model", "resnet81", ["lenet", "resnet18"])
      "unknown model 'resnet81'; did you mean 'resnet18'? (there are: lenet, resnet18)"
    """
    known = sorted(known)
    close = difflib.get_close_matches(str(name), known, n=2)
    hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
    return f"unknown {what} {name!r}{hint} (there are: {', '.join(known)})"
