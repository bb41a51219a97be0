"""JSON over HTTP: one request, and what its failure means."""

import json
import urllib.parse

import urllib3

from tfrobust.errors import InputError
from tfrobust.targets.serving.address import Address
from tfrobust.targets.serving.config import TOKEN_VARIABLE, EndpointConfig
from tfrobust.targets.serving.patience import UnavailableError
from tfrobust.targets.serving.protocol import NotFoundError

_PASSING = (408, 425, 429, 500, 502, 503, 504)  # which may be another the next time
_OVERLOADED = (429, 503)  # and which say that the request was not looked at
_ABSENT = (404, 405, 501)
_HEADER_LENGTH = "Inference-Header-Content-Length"
_CONNECTIONS = 128
_LONGEST_MESSAGE = 300


class Connection:
    """The server of an address. It is used from several threads.

    Redirects are followed to the same host alone, and so is the bearer token given to it alone.
    """

    def __init__(self, address: Address, config: EndpointConfig):
        authorities = str(config.ca_certificate) if config.ca_certificate else None
        try:
            self._pool = urllib3.PoolManager(
                maxsize=_CONNECTIONS, ca_certs=authorities, timeout=urllib3.Timeout(total=config.timeout), retries=False
            )
        except (OSError, ValueError) as error:
            raise InputError(f"{authorities} is no readable certificate: {error}") from error
        self._url, self._name = address.url, address.host
        self._headers = {"Content-Type": "application/json", "User-Agent": "tfrobust"}
        if config.token:
            self._headers["Authorization"] = f"Bearer {config.token}"

    def get(self, path: str) -> dict:
        """What the server says at a path below the address' prefix.

        Raises:
          NotFoundError: if it has nothing there.
          InputError, UnavailableError: as of `post`.
        """
        return self._json(self._request("GET", self._url + path, None))

    def post(self, path: str, content: dict, binary: bytes = b"") -> dict:
        """The answer to a request.

        Args:
          path: below the address' prefix.
          content: the request.
          binary: what stands behind its JSON, by the binary tensor data extension of the open inference protocol.

        Raises:
          NotFoundError: if the server has nothing at the path.
          InputError: if it refuses the request, sends it elsewhere, or its certificate is not trusted.
          UnavailableError: for what may pass.
        """
        body = json.dumps(content).encode()
        headers = {_HEADER_LENGTH: str(len(body)), "Content-Type": "application/octet-stream"} if binary else {}
        return self._json(self._request("POST", self._url + path, body + binary, headers))

    def _request(self, method, url, body, headers=None, redirects=2):
        try:
            response = self._pool.request(
                method, url, body=body, headers={**self._headers, **(headers or {})}, redirect=False
            )
        except urllib3.exceptions.SSLError as error:
            raise InputError(f"{self._name}: no trusted encrypted connection: {error} (--ca_certificate)") from error
        except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError) as error:
            raise UnavailableError(_reason(error), not_seen=True) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnavailableError(_reason(error)) from error
        location = response.get_redirect_location()
        if not location:
            return response
        target = urllib.parse.urljoin(url, location)
        if _origin(target) != _origin(url) or response.status not in (307, 308) or not redirects:
            raise InputError(
                f"{self._name} sends requests on to {_origin(target)[1]}: give that address if it is meant"
            )
        return self._request(method, target, body, headers, redirects - 1)

    def _json(self, response):
        if response.status == 200:
            try:
                content = json.loads(response.data)
            except ValueError as error:
                raise UnavailableError(f"an answer that is no JSON: {error}", answered=True) from error
            if not isinstance(content, dict):
                raise UnavailableError("an answer that is no JSON object", answered=True)
            return content
        message = f"{response.status} {response.reason or ''} {_message(response)}".strip()
        if response.status in _ABSENT:
            raise NotFoundError(message)
        if response.status in (401, 403):
            raise InputError(f"{self._name} does not let us in ({message}): put a bearer token into {TOKEN_VARIABLE}")
        if response.status == 413:
            raise InputError(f"{self._name}: the request is too large: lower --images_per_request ({message})")
        overloaded = response.status in _OVERLOADED
        if response.status in _PASSING:
            raise UnavailableError(message, _retry_after(response), overloaded=overloaded, not_seen=overloaded)
        raise InputError(f"{self._name} refuses the request: {message}")


def _retry_after(response):
    """Seconds that the server asks to wait, given as a number or a date; None where it does not say."""
    try:
        return urllib3.Retry().get_retry_after(response)
    except urllib3.exceptions.InvalidHeader:
        return None


def _origin(url):
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc


def _message(response):
    """The server's own words, in one line."""
    text = response.data.decode(errors="replace")
    try:
        content = json.loads(text)
        text = str(content.get("error", content.get("detail", text)))
    except (ValueError, AttributeError):
        pass
    return " ".join(text.split())[:_LONGEST_MESSAGE]


def _reason(error):
    return f"{type(error).__name__}: {error}"
