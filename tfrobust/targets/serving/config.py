"""How an endpoint is asked: one frozen value."""

import dataclasses
import os

from tfrobust.errors import InputError

TOKEN_VARIABLE = "TFROBUST_TOKEN"


@dataclasses.dataclass(frozen=True)
class EndpointConfig:
    """How an endpoint is asked.

    Attributes:
      signature: of the model (REST and gRPC); None: serving_default.
      image_bytes: whether images are sent as PNG files of 8 bits instead of numbers; None: what the model says it takes.
      images_per_request: at most; None: 32, or as many as are 4 MiB of floats.
      timeout: seconds that a request may take.
      tries: of each request, with growing pauses in between; what the server asks to wait is waited.
      max_queries: images in all requests to the endpoint, those of earlier runs in the same log included; None: any number.
      queries_per_second: images at most; None: as fast as the server answers.
      query_log: a file that keeps every answer. A run that was stopped goes on without asking twice, and another run asks
        for new images alone. None: none.
      ca_certificate: a PEM file with the certificate that the server's is signed with; None: the system's.
      token: sent as a bearer token to the endpoint's host, and nowhere else; over TLS or on this machine only. None: none.

    Raises:
      InputError: for a number that is not positive.

    Example:
      >>> EndpointConfig(max_queries=100_000, query_log="queries.sqlite")
    """

    signature: str | None = None
    image_bytes: bool | None = None
    images_per_request: int | None = None
    timeout: float = 60.0
    tries: int = 8
    max_queries: int | None = None
    queries_per_second: float | None = None
    query_log: str | os.PathLike | None = None
    ca_certificate: str | os.PathLike | None = None
    token: str | None = dataclasses.field(default=None, repr=False)

    def __post_init__(self):
        for name, value in dataclasses.asdict(self).items():
            if isinstance(value, int | float) and not isinstance(value, bool) and not value > 0:
                raise InputError(f"{name} must be positive, got {value}")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable() and self.token.strip()):
            raise InputError("the bearer token must be printable ASCII without line breaks")
