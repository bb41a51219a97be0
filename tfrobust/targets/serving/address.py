"""Where a served model is, and by which protocol it is asked."""

import re
import urllib.parse
from typing import Any, NamedTuple, Self

from tfrobust.errors import InputError

_SCHEMES = ("http", "https", "grpc", "grpcs")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PATHS = {  # what may follow a proxy's prefix
    "rest": re.compile(
        r"(?P<prefix>.*)/v1/models/(?P<model>[^/:]+)(/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?(:predict)?"
    ),
    "v2": re.compile(r"(?P<prefix>.*)/v2/models/(?P<model>[^/]+)(/versions/(?P<version>[^/]+))?(/infer)?"),
    "grpc": re.compile(r"(?P<prefix>)/(?P<model>[^/]+)(/(versions/)?(?P<version>\d+)|/labels/(?P<label>[^/]+))?"),
}
_FORMS = (
    "http://HOST:8501/v1/models/MODEL[/versions/N], http://HOST:PORT/v2/models/MODEL[/versions/N] or "
    "grpc://HOST:8500/MODEL[/N], or https and grpcs"
)


class Address(NamedTuple):
    """Of a served model.

    Attributes:
      protocol: "rest" (TF Serving's, KServe's v1), "v2" (the open inference protocol) or "grpc" (TF Serving's).
      host: with the port.
      secure: whether the connection is encrypted (TLS).
      prefix: of the path, before the protocol's own part.
      model: its name.
      version, label: of the model, where one is asked for.
    """

    protocol: str
    host: str
    secure: bool
    prefix: str
    model: str
    version: str | None
    label: str | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """From its text.

        Raises:
          InputError: for anything else than the three forms; a name and password in it are refused, since addresses are
            printed.

        Example:
          >>> Address.parse("http://localhost:8501/v1/models/lenet/versions/2").version
          '2'
        """
        try:
            parts = urllib.parse.urlsplit(text)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise InputError(f"{text!r} is no address of a served model: {error}") from error
        if parts.username is not None or parts.password is not None:
            raise InputError(
                "an address with a name and password would be printed in reports: give a bearer token instead"
            )
        protocols = ("grpc",) if parts.scheme.startswith("grpc") else ("rest", "v2")
        path = parts.path.rstrip("/")
        for protocol in protocols if parts.scheme in _SCHEMES and host and not (parts.query or parts.fragment) else ():
            found = _PATHS[protocol].fullmatch(path)
            if found:
                named: dict[str, Any] = {"version": None, "label": None, **found.groupdict()}
                return cls(protocol, parts.netloc, parts.scheme in ("https", "grpcs"), **named)
        raise InputError(f"{text!r} is no address of a served model, which are {_FORMS}")

    @property
    def url(self) -> str:
        """Of the server, with the prefix: "https://host:port/prefix"."""
        return f"{'https' if self.secure else 'http'}://{self.host}{self.prefix}"

    @property
    def is_private(self) -> bool:
        """Whether nobody on the way can read along: it is encrypted, or on this machine."""
        return self.secure or urllib.parse.urlsplit(self.url).hostname in _LOOPBACK


def is_address(path: str) -> bool:
    """Whether a text is meant as an address, right or wrong, and not as a path."""
    return path.partition("://")[0] in _SCHEMES and "://" in path
