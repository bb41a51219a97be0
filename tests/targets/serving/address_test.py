"""Addresses of served models, right and wrong."""

import pytest

from tfrobust.errors import InputError
from tfrobust.targets import is_address
from tfrobust.targets.serving.address import Address

RIGHT = {
    "http://localhost:8501/v1/models/lenet": ("rest", "localhost:8501", False, "", "lenet", None, None),
    "http://h/v1/models/lenet/versions/2:predict": ("rest", "h", False, "", "lenet", "2", None),
    "https://h/behind/proxy/v1/models/a.b-c/labels/stable": (
        "rest",
        "h",
        True,
        "/behind/proxy",
        "a.b-c",
        None,
        "stable",
    ),
    "http://h:80/v2/models/lenet/": ("v2", "h:80", False, "", "lenet", None, None),
    "https://h/v2/models/lenet/versions/x1/infer": ("v2", "h", True, "", "lenet", "x1", None),
    "grpc://h:8500/lenet": ("grpc", "h:8500", False, "", "lenet", None, None),
    "grpcs://[::1]:8500/lenet/3": ("grpc", "[::1]:8500", True, "", "lenet", "3", None),
    "grpc://h/lenet/versions/3": ("grpc", "h", False, "", "lenet", "3", None),
    "grpc://h/lenet/labels/canary": ("grpc", "h", False, "", "lenet", None, "canary"),
}
WRONG = [
    "http://localhost:8501",
    "http://localhost:8501/v1/models/",
    "http://localhost:8501/v1/models/a/versions/two",
    "http://localhost:8501/v3/models/a",
    "http://localhost:99999/v1/models/a",
    "http:///v1/models/a",
    "http://h/v1/models/a?token=secret",
    "grpc://localhost:8500",
    "grpc://localhost:8500/v1/models/a",
    "ftp://h/v1/models/a",
]


@pytest.mark.parametrize("text", RIGHT)
def test_right_ones_are_read(text):
    assert is_address(text) and Address.parse(text) == RIGHT[text]


@pytest.mark.parametrize("text", WRONG)
def test_wrong_ones_are_refused_with_the_three_forms(text):
    with pytest.raises(InputError, match="no address of a served model"):
        Address.parse(text)


def test_a_password_is_refused_and_not_repeated():
    with pytest.raises(InputError, match="bearer token") as raised:
        Address.parse("http://user:secret@h/v1/models/a")
    assert "secret" not in str(raised.value)


def test_paths_are_no_addresses():
    assert not any(map(is_address, ["model.keras", "models/lenet", "C://models", "/data/http/v1/models/a"]))


def test_what_others_can_read_is_not_private():
    private = {
        text: Address.parse(text).is_private for text in ("http://127.0.0.1:1/v1/models/a", "grpc://h/a", "grpcs://h/a")
    }
    assert list(private.values()) == [True, False, True]
