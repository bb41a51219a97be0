"""The pictures of a page, for light and for dark ones."""

from collections.abc import Iterable, Sequence

from tfrobust.evaluation.render import page, pictures

_DRAWN = {
    "curves": (pictures.curves, "The accuracy that attacks leave, by radius, for each model"),
    "progress": (pictures.progress, "How many images each attack had broken, question by question"),
}


def drawn(evaluations: Sequence, names: Iterable[str] = tuple(_DRAWN)) -> dict[str, page.Figure]:
    """Those of these names for which there is something to draw."""
    found = {}
    for name in names:
        draw, alt = _DRAWN[name]
        light = draw(evaluations)
        if light:
            found[name] = page.Figure(light, _dark(draw, evaluations), alt)
    return found


def _dark(draw, evaluations):
    from matplotlib import style

    with style.context(["dark_background", {"figure.facecolor": "#14171c", "axes.facecolor": "#14171c"}]):
        return draw(evaluations)
