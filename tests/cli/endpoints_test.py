"""The one bearer token goes to one host."""

import pytest

from tfrobust.cli import endpoints
from tfrobust.errors import InputError
from tfrobust.targets import TOKEN_VARIABLE

ADDRESSES = ["https://one.example/v1/models/a", "https://two.example/v1/models/a"]


def test_a_token_for_two_hosts_is_refused_without_showing_it(monkeypatch):
    endpoints.refuse_two_hosts_for_a_token(ADDRESSES)
    monkeypatch.setenv(TOKEN_VARIABLE, "secret")
    endpoints.refuse_two_hosts_for_a_token([ADDRESSES[0], "model.keras", "https://one.example/v1/models/b"])
    with pytest.raises(InputError, match=r"one\.example and to two\.example") as raised:
        endpoints.refuse_two_hosts_for_a_token(ADDRESSES)
    assert "secret" not in str(raised.value)
