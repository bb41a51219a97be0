"""Pictures as PNG files: what fools models, and how attacks transfer."""

import io
import itertools
import pathlib
import re
import textwrap
from collections.abc import Sequence

import numpy as np

from tfrobust.evaluation import radii

_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito's, told apart by everyone
_MARKERS = "osD^vPX*"
_STYLES = ("--", ":", "-.")


def adversarial_images(evaluations: Sequence, count: int = 6) -> bytes | None:
    """A PNG of clean images and what breaks each evaluation's model on them; None if no attack broke any.

    Shown is the last minimal-norm attack, whose distances can be compared by eye, else the last attack.
    """
    first = evaluations[0]
    names = [o.name for o in first.outcomes if not o.attack.bounded] or [o.name for o in first.outcomes]
    if not names:
        return None
    shown = [next(o for o in evaluation.outcomes if o.name == names[-1]) for evaluation in evaluations]
    candidates = np.flatnonzero(np.logical_and.reduce([outcome.hit for outcome in shown]))
    if not len(candidates):
        return None
    _, one_per_class = np.unique(first.labels[candidates], return_index=True)
    chosen = candidates[np.sort(one_per_class)][:count]
    return _grid(shown, chosen, ["clean", *short_names(evaluations)])


def _grid(outcomes, chosen, names):
    """A row of the chosen clean images, and one for each outcome."""
    from matplotlib import figure

    canvas = figure.Figure(figsize=(1.5 * len(chosen), 1.85 * len(names) + 0.5), layout="constrained")
    axes = canvas.subplots(len(names), len(chosen), squeeze=False)
    canvas.suptitle(f"What it takes to fool the model: {outcomes[0].name}", fontsize=11)
    for column, index in enumerate(chosen):
        images, labels, _ = outcomes[0].examples
        _show(axes[0, column], images[index], f"label {labels[index]}")
        for row, outcome in enumerate(outcomes, start=1):
            adversarial = outcome.adversarial[index]
            distance = np.linalg.norm(adversarial - outcome.examples.images[index])
            _show(axes[row, column], adversarial, f"seen as {outcome.predictions[index]}\nl2 {distance:.2f}")
    for row, name in enumerate(names):
        axes[row, 0].set_ylabel(name, fontsize=9)
    return _png(canvas, 110)


def _show(axis, image, title):
    axis.imshow(image.squeeze(-1) if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=1)
    axis.set_title(title, fontsize=8)
    axis.set_xticks([])
    axis.set_yticks([])


def _png(canvas, dpi):
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def short_names(evaluations):
    """The last part of each model's path, or the folder too where that alone would not tell them apart."""
    paths = [pathlib.PurePath(evaluation.report["model"]) for evaluation in evaluations]
    same = len({path.name for path in paths}) < len(paths)
    return [path.parent.name if same and path.parent.name else path.name for path in paths]


def curves(evaluations: Sequence) -> bytes | None:
    """A PNG with a panel for each norm: robust accuracy by radius, over all attacks and of each; None if there was none.

    All attacks together are a thick line for each model; a minimal-norm attack is a thin one, one in a ball a marker.
    """
    from matplotlib import figure

    norms = list(evaluations[0].report["curves"])
    if not norms:
        return None
    attacks = max(len(evaluation.outcomes) for evaluation in evaluations)
    size = (4.4 * max(len(norms), 2), 3.4 + 0.18 * attacks * len(evaluations))
    canvas = figure.Figure(figsize=size, layout="constrained")
    for axis, norm in zip(canvas.subplots(1, len(norms), squeeze=False)[0], norms):
        for number, (name, evaluation) in enumerate(zip(short_names(evaluations), evaluations)):
            color, curve = _COLORS[number % len(_COLORS)], evaluation.report["curves"][norm]
            label = f"{name}: all attacks together"
            axis.step(curve["radius"], curve["robust_accuracy"], where="post", linewidth=2.2, color=color, label=label)
            for place, outcome in enumerate(evaluation.outcomes):
                _draw(axis, outcome, norm, color, f"{name}: {textwrap.shorten(outcome.name, 50)}", place)
        axis.set(xlabel=f"radius in {norm}", ylabel="robust accuracy", ylim=(0, 1.02))
        axis.set_xlim(left=0)
        axis.grid(alpha=0.3)
    named = {label: handle for axis in canvas.axes for handle, label in zip(*axis.get_legend_handles_labels())}
    canvas.legend(named.values(), named, loc="outside lower center", fontsize=8)
    return _png(canvas, 110)


def _draw(axis, outcome, norm, color, label, place):
    """One attack in the panel of a norm, if it is its own."""
    if outcome.ball is not None and type(outcome.ball).__name__.lower() == norm:
        axis.plot(
            outcome.ball.radius,
            outcome.standing(outcome.broken) or 0.0,
            _MARKERS[place % len(_MARKERS)],
            color=color,
            label=label,
        )
    elif outcome.attack.norm is not None and outcome.attack.norm.__name__.lower() == norm:
        curve = radii.curves([outcome], outcome.examples)[norm]
        style = _STYLES[place % len(_STYLES)]
        axis.step(curve["radius"], curve["robust_accuracy"], style, where="post", linewidth=1, color=color, label=label)


def progress(evaluations: Sequence) -> bytes | None:
    """A PNG of how each attack went on, question by question: success, and the objective of what stands; None of none."""
    from matplotlib import figure

    traces = [
        (name, row["attack"], row["trace"])
        for name, evaluation in zip(short_names(evaluations), evaluations)
        for row in evaluation.report["attacks"]
        if row["trace"]
    ]
    if not traces:
        return None
    canvas = figure.Figure(figsize=(9.5, 3.4 + 0.16 * len(traces)), layout="constrained")
    success, objective = canvas.subplots(1, 2)
    for name, attack, trace in traces:
        label = attack if len(evaluations) == 1 else f"{attack}, {name}"
        success.step(trace["questions"], trace["success"], where="post", label=textwrap.shorten(label, 60))
        objective.plot(trace["questions"], [np.nan if value is None else value for value in trace["objective"]])
    success.set(ylabel="share that was a success", ylim=(0, 1.02), title="success so far")
    objective.set(ylabel="mean best margin", title="objective of what never was a success")
    for axis in (success, objective):
        axis.set(xlabel="questions to the model", xscale="log")
        axis.grid(alpha=0.3)
    canvas.legend(loc="outside lower center", fontsize=7)
    return _png(canvas, 110)


def defense_rates(transfer) -> bytes:
    """A PNG of a `Transfer` with a panel for each source: how the models' defense rates compare, attack by attack."""
    from matplotlib import figure

    sources, attacks, models = (transfer.report[axis] for axis in ("sources", "attacks", "models"))
    wrapped = [textwrap.fill(attack, 16) for attack in attacks]
    size = (2 + 1.1 * len(attacks) * len(sources), 2 + 0.4 * len(models))
    canvas = figure.Figure(figsize=size, layout="constrained")
    canvas.suptitle("Defense rate", fontsize=11)
    panels = canvas.subplots(1, len(sources), squeeze=False, sharey=True)[0]
    for panel, source, rates in zip(panels, distinct(sources), transfer.rates()):
        panel.imshow(rates.T, vmin=0, vmax=1, cmap="Blues", aspect="auto")
        panel.set_title(f"attacks made on {source}", fontsize=9)
        panel.set_xticks(range(len(attacks)), wrapped, fontsize=7)
        panel.set_yticks(range(len(models)), distinct(models), fontsize=8)
        for (column, row), rate in np.ndenumerate(rates):
            color = "white" if rate > 0.6 else "black"
            panel.text(column, row, f"{rate:.0%}", ha="center", va="center", fontsize=8, color=color)
    return _png(canvas, 120)


def lines_with_bands(curves: dict, horizontal: str, vertical: str) -> bytes:
    """A PNG of a line for each model, with the interval that its points are in.

    Args:
      curves: by the model's name, points of (position, value, low, high).
      horizontal, vertical: what the axes are.
    """
    from matplotlib import figure

    canvas = figure.Figure(figsize=(5.6, 3.6 + 0.2 * len(curves)), layout="constrained")
    axis = canvas.subplots()
    for name, points in zip(distinct(list(curves)), curves.values()):
        position, value, low, high = np.transpose(points)
        axis.plot(position, value, marker="o" if len(position) < 12 else None, label=name)
        axis.fill_between(position, low, high, alpha=0.15)
    axis.set(xlabel=horizontal, ylabel=vertical, ylim=(0, 1.02))
    axis.grid(alpha=0.3)
    canvas.legend(loc="outside lower center", fontsize=8)
    return _png(canvas, 110)


def panels(horizontal: str, positions: Sequence[str], values: dict) -> bytes:
    """A PNG with a panel for each kind of values, against positions that are equally far apart: a line if those are numbers."""
    from matplotlib import figure

    style = "o-" if all(re.fullmatch(r"[-+.\deE]+", position) for position in positions) else "o"
    canvas = figure.Figure(figsize=(3.2 * len(values), 3), layout="constrained")
    for axis, (name, numbers) in zip(canvas.subplots(1, len(values), squeeze=False)[0], values.items()):
        axis.plot(range(len(positions)), [np.nan if value is None else value for value in numbers], style)
        axis.set_xticks(range(len(positions)), positions, fontsize=8)
        axis.set(xlabel=horizontal, title=name)
        axis.grid(alpha=0.3)
    return _png(canvas, 110)


def histories(runs: dict) -> bytes | None:
    """A PNG with a panel for each number that all runs have of their epochs; None without one.

    Args:
      runs: by the run's name, what `fit` returned: name -> a value for each epoch.
    """
    from matplotlib import figure

    names = [name for name in next(iter(runs.values())) if all(history.get(name) for history in runs.values())]
    if not names:
        return None
    canvas = figure.Figure(figsize=(3.2 * len(names), 3.4), layout="constrained")
    for axis, name in zip(canvas.subplots(1, len(names), squeeze=False)[0], names):
        for history in runs.values():
            axis.plot(range(1, len(history[name]) + 1), history[name], marker=".")
        axis.set(xlabel="epoch", title=name)
        axis.grid(alpha=0.3)
    canvas.legend(axis.lines, distinct(list(runs)), loc="outside lower center", ncols=len(runs), fontsize=8)
    return _png(canvas, 110)


def distinct(names: Sequence[str]) -> list[str]:
    """Paths without the leading folders and the file name that all of them share."""
    parts = [pathlib.PurePath(name).parts for name in names]
    if len({path[-1] for path in parts}) == 1 and all(len(path) > 1 for path in parts):
        parts = [path[:-1] for path in parts]
    shared = itertools.takewhile(lambda folders: len(set(folders)) == 1, zip(*(path[:-1] for path in parts)))
    start = sum(1 for _ in shared)
    return ["/".join(path[start:]) for path in parts]
