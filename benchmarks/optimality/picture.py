"""The accuracy that each attack leaves, by distance."""

import io

import numpy as np
from matplotlib import figure

from benchmarks.optimality import score, table

_COLORS = {"tfrobust": "#0072b2", "foolbox": "#d55e00", "art": "#009e73", "torchattacks": "#cc79a7"}  # Okabe and Ito's
_STYLES = ("-", "--", ":", "-.")


def curves(report) -> bytes:
    """A PNG with a panel for each norm: a line for each attack, and the best of all."""
    norms = table.by_norm(report)
    across, down = min(len(norms), 2), -(-len(norms) // 2)
    canvas = figure.Figure(figsize=(6.2 * across, 7.4 * down), layout="constrained")
    for axis, (norm, rows) in zip(canvas.subplots(down, across, squeeze=False).flat, norms.items()):
        best = score.nearest([table.distances(row) for row in rows])
        end = best[np.isfinite(best)].max()
        axis.plot(*_curve(best, end), color="black", linewidth=3, alpha=0.35, label="the best of all")
        drawn = {}
        for row in [row for row in rows if not row["failed"]]:
            number = drawn[row["side"]] = drawn.get(row["side"], -1) + 1
            label = f"{row['optimality']:.3f}  {row['side']}: {row['attack'].split('(')[0]}"
            axis.plot(
                *_curve(table.distances(row), end),
                color=_COLORS[row["side"]],
                linestyle=_STYLES[number % len(_STYLES)],
                linewidth=1.3,
                label=label,
            )
        axis.set(xlabel=f"{norm} distance on the [0, 1] scale", ylabel="accuracy", xlim=(0, end), ylim=(0, 1))
        axis.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2)
    picture = io.BytesIO()
    canvas.savefig(picture, format="png", dpi=110)
    return picture.getvalue()


def _curve(distances, end):
    """Steps of the share of images that need more than a distance."""
    steps = np.sort(distances[distances <= end])
    radii = np.concatenate([[0.0], steps, [end]])
    return np.repeat(radii, 2)[1:], np.repeat([(distances > radius).mean() for radius in radii], 2)[:-1]
