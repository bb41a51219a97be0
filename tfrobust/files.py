"""Files that appear whole or not at all, whoever else writes to the same folder."""

import contextlib
import errno
import os
import pathlib
import shutil
import uuid
from collections.abc import Iterator

from tfrobust.errors import InputError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def written(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Gives a temporary path beside `path`, and moves it to `path` when the block ends well: all or nothing.

    Folders that had to be made for it are gone again where it does not.

    Raises:
      InputError: where the folder cannot be made or written to.
    """
    path = pathlib.Path(path)
    with temporary(path) as partial:
        yield partial
        if not path.exists() or path.is_file():  # in this order: another writer's file may appear in between
            os.replace(partial, path)
        else:
            raise InputError(f"{path} exists and is not a file")


@contextlib.contextmanager
def temporary(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Gives a hidden path beside `path`, and removes at the end what has not been moved from there.

    Raises:
      InputError: where the folder cannot be made or written to, or the disk is full.
    """
    path = pathlib.Path(path)
    # The suffix stays, since Keras looks at it; the leading dot keeps servers that poll the folder away.
    partial = path.with_name(f".partial-{uuid.uuid4().hex[:8]}-{path.name}")
    made = _missing(path.parent)
    writable_folder(path.parent)
    try:
        yield partial
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        if partial.is_dir():
            shutil.rmtree(partial)
        else:
            partial.unlink(missing_ok=True)
        _remove_empty(made)


def moved_to_next_number(path: str | os.PathLike, folder: str | os.PathLike) -> pathlib.Path:
    """Moves a folder into another, under the first number beyond those that are there; returns where it is.

    Two processes that do this at once get two numbers.
    """
    folder = pathlib.Path(folder)
    number = 1 + max((int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal()), default=0)
    while True:
        try:
            os.rename(path, folder / str(number))
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            number += 1
        else:
            return folder / str(number)


def check_writable(path: str | os.PathLike) -> None:
    """Raises `InputError` if a folder cannot be made or written to; leaves nothing behind."""
    made = _missing(path)
    writable_folder(path)
    _remove_empty(made)


def writable_folder(path: str | os.PathLike) -> pathlib.Path:
    """Makes a folder if need be; raises `InputError` if that or writing to it is not possible."""
    path = pathlib.Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path} cannot be made: {error.strerror}") from error
    if not os.access(path, os.W_OK):
        raise InputError(f"{path} is not writable")
    return path


def _missing(path):
    """Which folders of a path do not exist, the innermost first."""
    path = pathlib.Path(path)
    return [folder for folder in (path, *path.parents) if not folder.exists()]


def _remove_empty(folders):
    for folder in folders:
        with contextlib.suppress(OSError):  # it is not empty, or another process was faster
            folder.rmdir()
