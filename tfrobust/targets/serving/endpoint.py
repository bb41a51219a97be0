"""A model behind a server as a target: asked about images by requests, counted, logged and never twice about the same."""

import hashlib
import time
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfrobust.attacks import Access
from tfrobust.errors import InputError
from tfrobust.targets import outputs
from tfrobust.targets.bounds import Bounds
from tfrobust.targets.inputs import Inputs
from tfrobust.targets.serving import probe as probe_lib
from tfrobust.targets.serving.address import Address
from tfrobust.targets.serving.config import EndpointConfig
from tfrobust.targets.serving.flow import Concurrency, Rate
from tfrobust.targets.serving.patience import Patience, UnavailableError
from tfrobust.targets.serving.protocol import NotFoundError, Protocol
from tfrobust.targets.serving.query_log import QueryLog
from tfrobust.targets.target import ImageRows, Target

_REQUEST, _REQUEST_BYTES = 32, 2**22  # images at most, and bytes of them as floats
_SCORES = ("probabilities", "scores")  # what is taken where there are no logits
_LOOK_AGAIN = 2.0  # seconds after which a server is asked for its version again
_COMPARE_AGAIN = 1000  # images after which a server without versions is asked about the first image again
_SAME = 1e-3  # of the spread of scores


class ServingTarget(Target):
    """A model behind a server.

    Its access is score-based, or decision-based where it answers with labels. The version that is served when the target is
    made is the one that is attacked: when another one answers, that is an error. Of a server without versions the first
    image's answer is compared again and again instead.

    An image whose answer is in the log, in this run or an earlier one, is not asked about again, unless the endpoint's answers
    do not repeat (see `probe`): then each time counts.

    Args:
      address: "http://localhost:8501/v1/models/lenet", "http://localhost:8080/v2/models/lenet", "grpc://localhost:8500/lenet",
        each with a version if one is meant, or with https and grpcs.
      config: how it is asked.
      bounds: the scale of the images that it takes, such as (0, 255); None: (0, 1), or (0, 255) for integers.
      output_name: which of several outputs holds the scores; None: logits, output, probabilities or the only one.

    Raises:
      InputError: where there is no such model, or the server does not answer.

    Example:
      >>> served = ServingTarget("http://localhost:8501/v1/models/lenet", EndpointConfig(max_queries=100_000))
      >>> evaluate(served, images, labels, ["square(linf(0.1), queries=500)"])
    """

    local, concurrent = False, True

    def __init__(
        self,
        address: str,
        config: EndpointConfig = EndpointConfig(),  # noqa: B008, it is frozen
        *,
        bounds: tuple[float, float] | str | None = None,
        output_name: str | None = None,
    ):
        parsed = Address.parse(address)
        if config.token and not parsed.is_private:
            raise InputError(f"{address} would get the bearer token unencrypted: use https or grpcs")
        self._address, self._config, self._output_name = parsed, config, output_name
        self._protocol, self._patience = _protocol(parsed, config), Patience(config.tries)
        self._log = QueryLog(config.query_log)
        self._concurrency, self._rate = Concurrency(), Rate(config.queries_per_second)
        described = self._described(address)
        self._version, self._digest = described.version, described.digest
        if parsed.version is not None and self._version not in (None, parsed.version):
            raise InputError(f"{address}: the server answers with version {self._version}")
        self.takes_files = bool(config.image_bytes or (described.input and described.input.dtype == "string"))
        self._inputs = self._inputs_of(address, described.input, Bounds.of(bounds))
        super().__init__(
            address, self._inputs.shape, self._inputs.bounds if not self._inputs.differentiable else bounds
        )
        self._choose(described.outputs)
        # Answers are found again by all that decides them.
        scope = (*parsed, self._version, self._digest, config.signature, self.takes_files, str(self.scale), output_name)
        self._scope = hashlib.sha256(repr(scope).encode())
        self._endpoint = hashlib.sha256(repr(parsed).encode()).hexdigest()
        self._draws: dict[bytes, int] = {}
        self._classes: int | None = None
        self._sample: tuple[tuple[bytes, int], bytes] | None = None
        self.probed: probe_lib.Probe | None = None
        self._looked, self._compared, self._from_log = time.monotonic(), self._log.totals(self._endpoint).sent, 0

    def identity(self) -> str | None:
        """Of a server that says which version it serves, or gives a hash."""
        return f"{self._scope.hexdigest()} {self._version}" if self._version or self._digest else None

    def probe(self, images: ImageRows) -> probe_lib.Probe:
        """Asks about a few images three times: twice in the same request, and one by one; once for each target.

        Args:
          images: float32 [images, height, width, channels] in [0, 1], or what gives rows of such; the first 20 are taken.
        """
        if self.probed is None:
            payloads = self._payloads(images[: probe_lib.IMAGES])

            def ask(number, per_request):
                return self._answers(payloads, [number] * len(payloads), per_request)

            self.probed = probe_lib.probe(ask, len(payloads))
        return self.probed

    def logits(self, images: np.ndarray | tf.Tensor) -> np.ndarray:
        payloads = self._payloads(images)
        draws = [0] * len(payloads)
        if self.probed is not None and not self.probed.repeats:
            for place, key in enumerate(map(self._key, payloads)):
                draws[place] = self._draws[key] = self._draws.get(key, -1) + 1
        return self._answers(payloads, draws)

    def about(self) -> dict | None:
        """What report.json says of it: what answered, how often it was asked, and what the probe found."""
        self._look_again(at_once=True)
        sent, answered = self._log.totals(self._endpoint)
        return {
            "protocol": self._address.protocol,
            "version": self._version,
            "digest": self._digest,
            "queries": answered,
            "queries_without_answer": sent - answered,
            "retries": self._patience.retries,
            "answers_from_log": self._from_log,
            "probe": self.probed and self.probed._asdict(),
        }

    def _described(self, address):
        """What the server says; it is not waited for as long as later."""
        try:
            return Patience(min(self._config.tries, 4)).call(self._protocol.describe, address, lambda error: None)
        except NotFoundError as error:
            raise InputError(f"{address}: the server has no such model: {error}") from error

    def _inputs_of(self, address, form, bounds):
        if self.takes_files or form is None or form.dtype is None:
            return Inputs(bounds=bounds or Bounds())
        return Inputs.of(address, form.shape, tf.as_dtype(form.dtype), bounds)

    def _choose(self, forms):
        """Which output is taken; and whether it is labels, as far as the server says."""
        names = [one.name for one in forms]
        if self._output_name is None and not set(names) & set(outputs.PREFERRED):
            self._output_name = next((name for name in _SCORES if name in names), None)
        if names:
            chosen = next(one for one in forms if one.name == outputs.named(names, self._output_name, self.name))
            one_number = chosen.shape is not None and len(chosen.shape) == 1
            if one_number and chosen.dtype is not None and chosen.dtype.startswith(("int", "uint")):
                self.access = Access.DECISION_BASED

    def _payloads(self, images) -> list[bytes]:
        """Each image as it is sent: a PNG file, or the bytes of its numbers."""
        images = np.asarray(images, "float32")
        if self.takes_files:
            return [tf.io.encode_png(image).numpy() for image in np.rint(images * 255.0).astype("uint8")]
        fed = self._inputs.feed(tf.constant(images)).numpy()
        self._fed_shape, self._fed_type = fed.shape[1:], fed.dtype
        return [image.tobytes() for image in fed]

    def _batch(self, payloads: Sequence[bytes]):
        if self.takes_files:
            return list(payloads)
        return np.frombuffer(b"".join(payloads), self._fed_type).reshape(len(payloads), *self._fed_shape)

    def _answers(self, payloads, draws, per_request=None):
        """Scores or labels of images, from the log or from the server."""
        keys = [(self._key(payload), draw) for payload, draw in zip(payloads, draws)]
        found = self._log.find(keys)
        missing = {key: payload for key, payload in zip(keys, payloads) if key not in found}
        self._from_log += len(payloads) - len(missing)
        size = self._inputs.batch or per_request or self._per_request(payloads)
        asked = list(missing.items())
        requests = [dict(asked[start : start + size]) for start in range(0, len(asked), size)]
        for answers in self._concurrency.run(self._request, requests):
            found |= answers
        answers = np.stack([found[key] for key in keys])
        if answers.dtype.kind == "i":  # where all come from the log, nothing else says so
            self.access, answers = Access.DECISION_BASED, answers[:, 0]
        if requests:
            self._sample = self._sample or next(iter(asked))
            self._look_again()
        return answers

    def _per_request(self, payloads):
        if self._config.images_per_request:
            return self._config.images_per_request
        numbers = 1 if self.takes_files else len(payloads[0]) // self._fed_type.itemsize
        return max(min(_REQUEST, _REQUEST_BYTES // (4 * numbers)), 1)

    def _key(self, payload):
        digest = self._scope.copy()
        digest.update(payload)
        return digest.digest()

    def _request(self, asked: dict) -> dict:
        """Asks about some images and keeps the answers, rows of float32 or int64 by key."""
        payloads = list(asked.values())
        padding = [payloads[0]] * ((self._inputs.batch or len(payloads)) - len(payloads))
        batch = self._batch([*payloads, *padding])
        answered = self._patience.call(lambda: self._attempt(batch), self.name, self._failed)
        rows = dict(zip(asked, answered[: len(payloads)]))
        self._log.keep(self._endpoint, rows, len(batch))
        return rows

    def _attempt(self, batch):
        self._rate.wait(len(batch))
        self._log.send(self._endpoint, len(batch), self._config.max_queries)
        try:
            answer = self._protocol.predict(batch)
        except NotFoundError as error:
            self._log.unsend(self._endpoint, len(batch))
            if self._classes is None:
                raise InputError(f"{self.name}: the server has no such model: {error}") from error
            self._check_version()
            raise UnavailableError(str(error), not_seen=True) from error
        except UnavailableError as error:
            if error.not_seen:
                self._log.unsend(self._endpoint, len(batch))
            raise
        if answer.version is not None:
            self._refuse_other(answer.version)
        return self._rows(answer, len(batch))

    def _rows(self, answer, count):
        """[images, classes] float32 scores, or [images, 1] int64 labels, of an answer that has what it must have."""
        name = outputs.named(list(answer.outputs), self._output_name if len(answer.outputs) > 1 else None, self.name)
        array = np.asarray(answer.outputs[name])
        if array.dtype.kind not in "fiub":
            raise InputError(f"{self.name}: its output {name} is no numbers: name another one (--output_name)")
        if len(array) != count or (array.ndim > 1 and array.shape[1:] != (array.size // count,)):
            raise UnavailableError(f"an answer of shape {array.shape} to {count} images", answered=True)
        rows = array.reshape(count, -1)
        labels = rows.shape[1] == 1 and rows.dtype.kind in "iu"
        if self._classes is None:
            self._classes = rows.shape[1]
            self.access = Access.DECISION_BASED if labels else Access.SCORE_BASED
        if rows.shape[1] != self._classes:
            raise UnavailableError(
                f"an answer of {rows.shape[1]} numbers an image, where there were {self._classes}", answered=True
            )
        rows = rows.astype("int64" if self.access is Access.DECISION_BASED else "float32")
        if not np.isfinite(rows).all():
            raise UnavailableError("NaN or infinite scores", answered=True)
        return rows

    def _failed(self, error):
        if error.overloaded:
            self._concurrency.overloaded()

    def _check_version(self):
        """Raises `InputError` where the server says that another version answers; nothing where it says nothing now."""
        try:
            self._refuse_other(self._protocol.version())
        except (NotFoundError, UnavailableError):
            return

    def _refuse_other(self, version):
        if version is not None and self._version is not None and version != self._version:
            raise InputError(
                f"{self.name} served version {self._version} at the start and serves {version} now: what was found is of two "
                "models; start again"
            )

    def _look_again(self, at_once=False):
        """Whether the model is still the one that the run began with."""
        if self._version is not None:
            if at_once or time.monotonic() - self._looked > _LOOK_AGAIN:
                self._check_version()
                self._looked = time.monotonic()
            return
        sent = self._log.totals(self._endpoint).sent
        if self._sample is None or not (at_once or sent - self._compared > _COMPARE_AGAIN) or sent == self._compared:
            return
        (key, payload), self._compared = self._sample, sent
        if self.probed is not None and self.probed.repeats:
            (before,), (now,) = self._log.find([key]).values(), self._request({(key[0], -1): payload}).values()
            if np.abs(now - before).max() > _SAME * max(float(np.ptp(before)), 1e-30):
                raise InputError(f"{self.name} answers otherwise than at the start: it is another model; start again")


def _protocol(address: Address, config: EndpointConfig) -> Protocol:
    if address.protocol == "grpc":
        from tfrobust.targets.serving.prediction_service import PredictionServiceProtocol

        return PredictionServiceProtocol(address, config)
    from tfrobust.targets.serving.connection import Connection
    from tfrobust.targets.serving.open_inference import OpenInferenceProtocol
    from tfrobust.targets.serving.rest import RestProtocol

    connection = Connection(address, config)
    if address.protocol == "v2":
        return OpenInferenceProtocol(connection, address)
    return RestProtocol(connection, address, config.signature)
