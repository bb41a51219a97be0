"""Mask placements as values and as text."""

import pytest

from tfrobust.errors import InputError
from tfrobust.models import masks

GROUPS = ["shallow"] * 3 + ["deep"] * 2


@pytest.mark.parametrize(
    "text, ratios",
    [
        ("", [0, 0, 0, 0, 0]),
        ("shallow=0.7", [0.7, 0.7, 0.7, 0, 0]),
        ("deep=0.5", [0, 0, 0, 0.5, 0.5]),
        ("shallow=0.3,deep=0.7", [0.3, 0.3, 0.3, 0.7, 0.7]),
        ("0=0.7,1=0.7", [0.7, 0.7, 0, 0, 0]),
        ("1=0.5, 2=0.7", [0, 0.5, 0.7, 0, 0]),
    ],
)
def test_text_places_ratios_on_blocks(text, ratios):
    assert [masks.parse(text).ratio(*place) for place in enumerate(GROUPS)] == ratios


@pytest.mark.parametrize(
    "text", ["", "shallow=0.7", "shallow=0.3,deep=0.7", "0=0.7,kind=same,width=2,seed=3", "deep=0.5,kind=channel"]
)
def test_text_round_trips(text):
    assert str(masks.parse(text)) == text


def test_every_layer_has_its_own_seed():
    placement = masks.parse("shallow=0.7,seed=1")
    seeds = {masks.parse(f"shallow=0.7,seed={seed}").layer_seed(name) for seed in (1, 2) for name in ("stem", "stage1")}
    assert len(seeds) == 4 and placement.layer_seed("stem") in seeds


@pytest.mark.parametrize(
    "text", ["shallow", "shallow=much", "shallow=1", "shalow=0.5", "kind=some", "width=0", "seed=x", "-1=0.5"]
)
def test_anything_else_is_refused_in_one_line(text):
    with pytest.raises(InputError, match="masks") as raised:
        masks.parse(text)
    assert "\n" not in str(raised.value)
