"""The pictures of a page, for light and for dark ones."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import overload

from tfrobust.evaluation.render import page, pictures

_DRAWN = {
    "curves": (pictures.curves, "The accuracy that attacks leave, by radius, for each model"),
    "progress": (pictures.progress, "How many images each attack had broken, question by question"),
}


def drawn(evaluations: Sequence, names: Iterable[str] = tuple(_DRAWN)) -> dict[str, page.Figure]:
    """Those of these names for which there is something to draw."""
    found = {name: of(functools.partial(_DRAWN[name][0], evaluations), _DRAWN[name][1]) for name in names}
    return {name: figure for name, figure in found.items() if figure is not None}


@overload
def of(draw: Callable[[], bytes], alt: str) -> page.Figure: ...
@overload
def of(draw: Callable[[], bytes | None], alt: str) -> page.Figure | None: ...
def of(draw, alt):
    """A picture in both styles; None if there is nothing to draw.

    Args:
      draw: makes a PNG by matplotlib, in the style that is in force.
      alt: what it shows, for those who do not see it.
    """
    from matplotlib import style

    light = draw()
    if not light:
        return None
    with style.context(["dark_background", {"figure.facecolor": "#14171c", "axes.facecolor": "#14171c"}]):
        return page.Figure(light, draw(), alt)
