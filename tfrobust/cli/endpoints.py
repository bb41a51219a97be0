"""The flags that say how a served model is asked."""

import os
import urllib.parse
from collections.abc import Iterable

from absl import flags

import tfrobust as tfr
from tfrobust.errors import InputError

_TOKEN = "TFROBUST_TOKEN"  # tfrobust.targets.TOKEN_VARIABLE, which --help does not wait for

IMAGE_BYTES = flags.DEFINE_boolean(
    "image_bytes", None, "Send images as PNG files instead of numbers; default: what the served model says it takes."
)
IMAGES_PER_REQUEST = flags.DEFINE_integer(
    "images_per_request", None, "At most; default: 32, or as many as are 4 MiB of floats.", lower_bound=1
)
TIMEOUT = flags.DEFINE_float("timeout", 60.0, "Seconds that a request to a served model may take.", lower_bound=0.001)
TRIES = flags.DEFINE_integer("tries", 8, "Of each request, with growing pauses.", lower_bound=1)
MAX_QUERIES = flags.DEFINE_integer(
    "max_queries",
    None,
    "Images that may be sent to a served model, those of earlier runs with the same log included; default: any number.",
    lower_bound=1,
)
QUERIES_PER_SECOND = flags.DEFINE_float(
    "queries_per_second", None, "Images a second, at most; default: as fast as the server answers.", lower_bound=0.001
)
QUERY_LOG = flags.DEFINE_string(
    "query_log",
    None,
    "File that keeps every answer of a served model, so that none is asked for twice, whenever a run is stopped; default: "
    "queries.sqlite in --output.",
)
CA_CERTIFICATE = flags.DEFINE_string(
    "ca_certificate",
    None,
    "PEM file of the authority that signed a server's certificate; default: the system's. A bearer token for the server is "
    f"read from the environment variable {_TOKEN}, is sent to the host of the address alone, and never printed.",
)


def from_flags(output) -> dict:
    """What the flags of this module say: the fields of `tfrobust.targets.EndpointConfig`.

    Args:
      output: the folder of the report, or None.
    """
    return {
        "image_bytes": IMAGE_BYTES.value,
        "images_per_request": IMAGES_PER_REQUEST.value,
        "timeout": TIMEOUT.value,
        "tries": TRIES.value,
        "max_queries": MAX_QUERIES.value,
        "queries_per_second": QUERIES_PER_SECOND.value,
        "query_log": QUERY_LOG.value or (output and output / "queries.sqlite"),
        "ca_certificate": CA_CERTIFICATE.value,
        "token": os.environ.get(_TOKEN) or None,
    }


def refuse_two_hosts_for_a_token(paths: Iterable[str]) -> None:
    """Raises `InputError` where the one bearer token would go to several hosts."""
    hosts = {urllib.parse.urlsplit(path).netloc for path in paths if tfr.targets.is_address(path)}
    if len(hosts) > 1 and os.environ.get(_TOKEN):
        raise InputError(
            f"the bearer token in {_TOKEN} would go to {' and to '.join(sorted(hosts))}: attack one at a time"
        )
