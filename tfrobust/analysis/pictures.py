"""What the analyses found as PNG files."""

import io
from collections.abc import Sequence

import numpy as np

from tfrobust.analysis.gradient_overlap import checkerboard_share, top_pixels
from tfrobust.analysis.label_map import LabelMap


def overlap(found: np.ndarray, fraction: float = 0.3) -> bytes:
    """A PNG of a gradient overlap, float [height, width], and beside it the pixels G(fraction)."""
    share = checkerboard_share(found, fraction)
    top = f"G({fraction:g}), with {share:.1%} of the checkerboard"
    return _maps({"gradient overlap": found, top: top_pixels(found, fraction)}, label="relative overlap; 1: in G")


def gradients(found: dict[str, np.ndarray]) -> bytes:
    """A PNG of gradient heat-maps, a panel for each."""
    return _maps(found, label="sum of |gradient|")


def perturbations(found: dict[str, np.ndarray]) -> bytes:
    """A PNG of perturbation heat-maps, a panel for each."""
    return _maps(found, label="mean |change|")


def white_pixel(found: np.ndarray) -> bytes:
    """A PNG of the success of single white pixels, float [height, width]."""
    return _maps({"a single white pixel": found}, label="share of images that it breaks")


def label_map(found: LabelMap, label: int, classes: Sequence[str] | None = None) -> bytes:
    """A PNG of a label map, a color for each class that occurs.

    Args:
      found: what is shown.
      label: the true one, which the legend marks.
      classes: their names; None: numbers.
    """
    from matplotlib import colormaps, colors, figure, patches

    present, places = np.unique(found.labels, return_inverse=True)
    palette = colormaps["tab20"].resampled(20)
    shades = [palette(number % 20) for number in range(len(present))]
    canvas = figure.Figure(figsize=(6.4, 4.6), layout="constrained")
    axis = canvas.subplots()
    extent = 255 * found.steps[-1]
    axis.imshow(
        places.reshape(found.labels.shape),
        cmap=colors.ListedColormap(shades),
        vmin=-0.5,
        vmax=len(present) - 0.5,
        origin="lower",
        interpolation="nearest",
        extent=(-extent, extent, -extent, extent),
    )
    axis.plot(0, 0, marker="+", color="black")
    axis.set(xlabel="step off the checkerboard, l2 of 0-255", ylabel="step on the checkerboard, l2 of 0-255")
    names = [
        f"{classes[number] if classes else number}{' (true label)' if number == label else ''}" for number in present
    ]
    handles = [patches.Patch(color=shade, label=name) for shade, name in zip(shades, names)]
    canvas.legend(handles=handles, loc="outside right upper", fontsize=8)
    return _png(canvas)


def _maps(maps, label):
    """A panel for each map, with its own color bar."""
    from matplotlib import figure, ticker

    columns = min(4, len(maps))
    rows = -(-len(maps) // columns)
    canvas = figure.Figure(figsize=(3.5 * columns, 2.9 * rows), layout="constrained")
    panels = canvas.subplots(rows, columns, squeeze=False).flat
    for (name, found), axis in zip(maps.items(), panels):
        shown = axis.imshow(found, cmap="viridis", interpolation="nearest")
        axis.set_title(name, fontsize=9)
        axis.set(xlabel="column", ylabel="row")
        for side in (axis.xaxis, axis.yaxis):
            side.set_major_locator(ticker.MaxNLocator(5, integer=True))
        canvas.colorbar(shown, ax=axis, shrink=0.8, label=label)
    for axis in list(panels):
        axis.set_axis_off()
    return _png(canvas)


def _png(canvas):
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    return buffer.getvalue()
