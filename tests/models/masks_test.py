"""Mask placements as values and as text."""

import pytest

from tfrobust import models
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


@pytest.mark.parametrize("given", ["shallow=0.5,kind=same", masks.parse("shallow=0.5,kind=same")])
def test_a_network_is_built_with_masks_given_as_text(given):
    network = models.build("lenet", width=4, masks=given)
    assert str(masks.placement(network)) == "shallow=0.5,kind=same"
    assert (
        masks.placement(models.build("lenet", width=4))
        == masks.NO_MASKS
        == masks.placement(models.build("lenet", width=4, masks=""))
    )


@pytest.mark.parametrize(
    "name, arguments, said",
    [
        ("lenet", {"masks": "shalow=0.5"}, "masks 'shalow=0.5': unknown term 'shalow'; did you mean 'shallow'?"),
        ("lenet", {"masks": "9=0.5"}, "there is no block 9"),
        ("mlp", {"masks": "shallow=0.5"}, "no blocks that could be masked"),
        ("lenet", {"masks": "shallow=0.5", "insert": masks.NO_MASKS}, "masks or insert, not both"),
    ],
)
def test_masks_that_a_network_cannot_have_are_refused(name, arguments, said):
    with pytest.raises(InputError, match=said):
        models.build(name, **arguments)
