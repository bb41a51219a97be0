"""Every answer of an endpoint, on disk as it comes: what was asked once is not asked again, whenever a run is stopped."""

import contextlib
import pathlib
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tfrobust import files
from tfrobust.errors import InputError

_FORMAT = 1
_TABLES = """
create table if not exists format (version integer);
create table if not exists answers (key blob, draw integer, type text, answer blob, primary key (key, draw)) without rowid;
create table if not exists totals (endpoint text primary key, sent integer, answered integer);
"""


class Totals(NamedTuple):
    """Images of an endpoint, of all runs that shared the log.

    Attributes:
      sent: in requests that the server may have counted.
      answered: those of them with an answer.
    """

    sent: int
    answered: int


class QueryLog:
    """An SQLite file. Several threads and several processes of one machine may use it at once.

    Before a request its images are counted as sent, and with the answer they are kept, so that neither is lost when the
    process is killed.

    Args:
      path: of the file, which is made if need be; None: in memory.

    Raises:
      InputError: for a file that is no log, or cannot be written.
    """

    def __init__(self, path=None):
        self._lock, self._path = threading.Lock(), path
        if path is not None:
            files.writable_folder(pathlib.Path(path).parent)
        try:
            self._database = sqlite3.connect(
                path or ":memory:", timeout=60.0, isolation_level=None, check_same_thread=False
            )
            if path is not None:
                self._database.execute("pragma journal_mode = wal")
            self._database.execute("pragma synchronous = normal")  # a killed process loses nothing by it
            with self._transaction() as database:
                for statement in _TABLES.split(";"):
                    database.execute(statement)
                found = database.execute("select version from format").fetchone()
                if found is None:
                    database.execute("insert into format values (?)", (_FORMAT,))
        except sqlite3.Error as error:
            raise InputError(f"{path} is no log of queries, or cannot be written: {error}") from error
        if found not in (None, (_FORMAT,)):
            raise InputError(f"{path} is a log of queries of another version: take another file")

    def find(self, keys: Sequence[tuple[bytes, int]]) -> dict[tuple[bytes, int], np.ndarray]:
        """The answers that are there, by key: (digest, draw)."""
        found = {}
        with self._transaction() as database:
            for digest, draw in keys:
                where = "select type, answer from answers where key = ? and draw = ?"
                for kind, answer in database.execute(where, (digest, draw)):
                    found[digest, draw] = np.frombuffer(answer, kind)
        return found

    def send(self, endpoint: str, images: int, most: int | None) -> None:
        """Counts images that are about to be sent.

        Raises:
          InputError: if that makes more than `most`.
        """
        with self._transaction() as database:
            database.execute("insert or ignore into totals values (?, 0, 0)", (endpoint,))
            (sent,) = database.execute("select sent from totals where endpoint = ?", (endpoint,)).fetchone()
            if most is None or sent + images <= most:
                database.execute("update totals set sent = sent + ? where endpoint = ?", (images, endpoint))
                return
        where = f"; {self._path} keeps the answers: go on with a larger one" if self._path else ""
        raise InputError(
            f"the budget of {most} queries to {endpoint} does not allow {images} more, {sent} are made{where}"
        )

    def unsend(self, endpoint: str, images: int) -> None:
        """Takes back `send`, of images that the server has surely not looked at."""
        with self._transaction() as database:
            database.execute("update totals set sent = sent - ? where endpoint = ?", (images, endpoint))

    def keep(self, endpoint: str, answers: Mapping[tuple[bytes, int], np.ndarray], images: int) -> None:
        """Keeps the answers to a request of so many images."""
        rows = [(*key, answer.dtype.str, answer.tobytes()) for key, answer in answers.items()]
        with self._transaction() as database:
            database.executemany("insert or replace into answers values (?, ?, ?, ?)", rows)
            database.execute("update totals set answered = answered + ? where endpoint = ?", (images, endpoint))

    def totals(self, endpoint: str) -> Totals:
        """What was counted for an endpoint."""
        with self._transaction() as database:
            found = database.execute("select sent, answered from totals where endpoint = ?", (endpoint,)).fetchone()
        return Totals(*(found or (0, 0)))

    @contextlib.contextmanager
    def _transaction(self):
        """All or nothing; one at a time of this process, and by SQLite's own lock of all."""
        with self._lock:
            self._database.execute("begin immediate")
            try:
                yield self._database
            except BaseException:
                self._database.execute("rollback")
                raise
            self._database.execute("commit")
