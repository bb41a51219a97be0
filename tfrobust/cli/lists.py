"""Flags that are lists of numbers."""

from collections.abc import Sequence

from tfrobust.errors import InputError


def numbers(name: str, texts: Sequence[str], count: int | None = None) -> tuple[float, ...]:
    """The numbers of a flag such as --sigmas=1,2,4.

    Args:
      name: of the flag.
      texts: its value.
      count: how many there must be; None: any number.

    Raises:
      InputError: for something else than numbers, or another count.
    """
    try:
        found = tuple(map(float, texts))
    except ValueError as error:
        raise InputError(f"--{name} must be numbers, got {','.join(texts)}") from error
    if count not in (None, len(found)):
        raise InputError(f"--{name} takes {count} numbers, got {','.join(texts)}")
    return found
