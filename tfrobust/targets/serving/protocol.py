"""What the three protocols have in common: they describe a model, and answer about images."""

import abc
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tfrobust.errors import InputError


class NotFoundError(Exception):
    """The server has no such model, or no such version of it now. Its argument is the server's message."""


class TensorForm(NamedTuple):
    """An input or output as a server describes it.

    Attributes:
      name: of the tensor.
      dtype: NumPy's name, "string" for bytes; None where it does not say.
      shape: with the batch; None where it does not say, -1 or None for sizes that are not fixed.
    """

    name: str
    dtype: str | None
    shape: tuple[int | None, ...] | None


class Description(NamedTuple):
    """What a server says of a model. Some say nothing but that they have it.

    Attributes:
      version: which it answers with; None where it has none.
      digest: a hash of the model, where the server gives one.
      input: None where it does not say.
      outputs: none where it does not say.
    """

    version: str | None = None
    digest: str | None = None
    input: TensorForm | None = None
    outputs: Sequence[TensorForm] = ()


class Answer(NamedTuple):
    """To one request.

    Attributes:
      outputs: arrays [batch, ...] by name; the only one may have the name "".
      version: of the model that answered, where the answer says.
    """

    outputs: Mapping[str, np.ndarray]
    version: str | None = None


class Protocol(abc.ABC):
    """One model by one protocol. Requests may be made from several threads."""

    @abc.abstractmethod
    def describe(self) -> Description:
        """Asks the server what it serves.

        Raises:
          InputError: if the model takes more than one input, or the server refuses to say.
          NotFoundError, UnavailableError: if it does not answer.
        """

    @abc.abstractmethod
    def version(self) -> str | None:
        """Which version would answer now; None where the server does not say.

        Raises:
          NotFoundError, UnavailableError: if it does not answer.
        """

    @abc.abstractmethod
    def predict(self, images: "np.ndarray | list[bytes]") -> Answer:
        """Asks about one batch: an array in the input's own type, or image files.

        Raises:
          InputError: if the server refuses the request.
          NotFoundError, UnavailableError: if it does not answer.
        """


def only_input(inputs: Sequence[TensorForm], model: str) -> TensorForm:
    """The input of a model that takes images alone.

    Raises:
      InputError: if it takes more, or nothing.
    """
    if len(inputs) != 1:
        raise InputError(
            f"{model} takes {len(inputs)} inputs, expected one batch of images (--signature chooses another)"
        )
    return inputs[0]


def digest_in(metadata: Mapping) -> str | None:
    """The hash of the model among what a server says of it, under a name that hashes have; None without one."""
    for key, value in metadata.items():
        if key.lower() in ("sha256", "digest", "hash", "model_hash", "checksum") and isinstance(value, str):
            return value
        if isinstance(value, Mapping) and (found := digest_in(value)):
            return found
    return None
