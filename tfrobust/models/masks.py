"""Where a network is masked, as one small value: what builders take as `insert`.

A network has numbered blocks: 0 is the stem, the others are its stages. Written as text, a placement is a list of
`where=ratio`, and options:

    shallow=0.7                     the paper's 0.7-Shallow
    shallow=0.3,deep=0.7            0.3-Shallow, 0.7-Deep
    0=0.7,1=0.7                     blocks 0 and 1 only
    shallow=0.7,kind=same           one spatial mask for all channels of a layer (SM)
    shallow=0.5,kind=channel        no masks, but fewer channels in those blocks (DC)
    shallow=0.7,width=2             twice the channels in those blocks (x2)
    shallow=0.7,seed=3              other masks
    deep=0.1,kind=drop_block        the rivals, drawn anew in every step: dropout, spatial_dropout, drop_block

A model keeps its placement in its configuration, `summary` shows it as the name of a layer, and `placement(model)`
reads it back, also from a model that was saved and loaded or cloned.

Luo et al., ICLR 2019 submission, table 2.
"""

import dataclasses
import zlib
from collections.abc import Sequence

import keras
from keras import layers

from tfrobust.errors import InputError, unknown
from tfrobust.layers import DropBlock, FixedMask, Placement
from tfrobust.models.insert import Insert, Place

MASK_KINDS = ("random", "same")
DROP_LAYERS = {"dropout": layers.Dropout, "spatial_dropout": layers.SpatialDropout2D, "drop_block": DropBlock}
KINDS = (*MASK_KINDS, "channel", *DROP_LAYERS)


@dataclasses.dataclass(frozen=True)
class Masks(Insert):
    """Which blocks of a network are masked, and how.

    Attributes:
      ratios: pairs (block, ratio), a block being its number or "shallow" or "deep", which each family of networks
        defines. The ratio is the share of units, or for kind "channel" of channels, that are left out.
      kind: one of `KINDS`. Squares of "drop_block" are 3 pixels wide: the deep maps of a small image have 8 or 4.
      width: factor of the number of channels in the masked blocks.
      seed: of all masks; every layer folds in its name.
    """

    ratios: tuple[tuple[int | str, float], ...] = ()
    kind: str = "random"
    width: float = 1.0
    seed: int = 0

    def __post_init__(self):
        if self.kind not in KINDS:
            raise InputError(f"masks: {unknown('kind', self.kind, KINDS)}")
        if not self.width > 0:
            raise InputError(f"masks: width must be positive, got {self.width}")
        for block, ratio in self.ratios:
            if not 0 <= ratio < 1:
                raise InputError(f"masks: the ratio of {block} is the share left out, in [0, 1); got {ratio}")

    def __str__(self):
        options = []
        if self.kind != "random":
            options.append(f"kind={self.kind}")
        if self.width != 1:
            options.append(f"width={self.width:g}")
        if self.seed:
            options.append(f"seed={self.seed}")
        return ",".join([*(f"{block}={ratio:g}" for block, ratio in self.ratios), *options])

    def named_blocks(self) -> Sequence[int | str]:
        return [block for block, _ in self.ratios]

    def ratio(self, block: int, group: str) -> float:
        """The ratio of the masks of a block that is shallow or deep, 0 where there are none."""
        return next((ratio for name, ratio in self.ratios if name in (block, group)), 0.0)

    def channels(self, channels: int, place: Place) -> int:
        """Kind "channel" leaves out some, and `width` multiplies them, in the masked blocks."""
        ratio = self.ratio(place.block, place.group)
        if not ratio:
            return channels
        kept = 1 - ratio if self.kind == "channel" else 1
        return max(1, round(channels * self.width * kept))

    def layers(self, place: Place) -> Sequence[keras.Layer]:
        ratio, seed = self.ratio(place.block, place.group), self.layer_seed(place.name)
        if not ratio or self.kind == "channel":
            return []
        if self.kind in MASK_KINDS:
            return [FixedMask(ratio, self.kind, seed, name=f"{place.name}_mask")]
        size = {"block_size": 3} if self.kind == "drop_block" else {}
        return [DROP_LAYERS[self.kind](ratio, **size, seed=seed, name=f"{place.name}_{self.kind}")]

    def layer_seed(self, name: str) -> int:
        """The seed of one layer's mask."""
        return zlib.crc32(f"{self.seed}/{name}".encode())


NO_MASKS = Masks()
_TERMS = ("shallow", "deep", "kind", "width", "seed")


def placement(model: keras.Model) -> Masks:
    """Where a model is masked, read from the model itself: a `Masks`, `NO_MASKS` for one without."""
    found = [layer.masks for layer in model.layers if isinstance(layer, Placement)]
    return parse(found[0]) if found else NO_MASKS


def parse(text: str) -> Masks:
    """Reads a placement from its text; the empty text masks nothing.

    Raises:
      InputError: saying what is wrong.

    Example:
      >>> parse("shallow=0.7,kind=same").ratios
      (('shallow', 0.7),)
    """
    ratios: list[tuple[int | str, float]] = []
    options = {}
    for term in filter(None, (term.strip() for term in text.split(","))):
        name, _, value = term.partition("=")
        if not name.isdigit() and name not in _TERMS:
            raise InputError(f"masks {text!r}: {unknown('term', name, (*_TERMS, 'the number of a block'))}")
        try:
            if name in ("shallow", "deep"):
                ratios.append((name, float(value)))
            elif name.isdigit():
                ratios.append((int(name), float(value)))
            else:
                options[name] = {"kind": str, "width": float, "seed": int}[name](value)
        except (KeyError, ValueError) as error:
            raise InputError(
                f"masks {text!r}: {term!r} is not one of shallow=RATIO, deep=RATIO, BLOCK=RATIO, kind=, width=, seed="
            ) from error
    return Masks(tuple(ratios), **options)
