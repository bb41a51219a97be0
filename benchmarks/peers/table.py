"""What a comparison shows: one row per side, and which aims hold."""

import statistics

import numpy as np

_COLUMNS = (  # title, key of a row, format of the title, format of a value
    ("", "side", "<14", ""),
    ("images", "images", ">8", ""),
    ("broken", "broken", ">8", ".1%"),
    ("queries/image", "queries", ">15", ",.0f"),
    ("compile s", "compile_seconds", ">11", ".2f"),
    ("attack s", "seconds", ">10", ".2f"),
    ("images/s", "images_per_second", ">10", ",.2f"),
    ("x floor", "times_floor", ">9", ".2f"),
    ("median", "size", ">9", ".4g"),
    ("ours/its", "times_size", ">10", ".3f"),
)


def row(side, images, labels, predict, norm, targeted):
    """What one side reached and cost.

    Args:
      side: a `sides.Side` that was measured.
      images, labels: of the whole comparison; the side attacked the first `side.images`.
      predict: images -> int [batch].
      norm: a ball's class, in which perturbations are measured.
      targeted: `labels` are goals.

    Returns:
      dict of JSON values, and two arrays [images]: "moved", which images were broken by a change, and "sizes".
    """
    adversarial = np.asarray(side.adversarial)
    hit = (predict(adversarial) == labels[: side.images]) == targeted
    hit &= ((adversarial >= 0) & (adversarial <= 1)).all((1, 2, 3))  # NaN is neither
    sizes = norm.size(adversarial - images[: side.images]).numpy()
    moved = hit & (sizes > 0)
    seconds = statistics.median(side.seconds)
    return {
        "side": side.name,
        "images": side.images,
        "broken": float(hit.mean()),
        "queries": side.seen / side.images,
        "compile_seconds": side.compile_seconds,
        "seconds": seconds,
        "images_per_second": side.images / seconds,
        "size": float(np.median(sizes[moved])) if moved.any() else None,
        "moved": moved,
        "sizes": sizes,
    }


def relate(ours, peer):
    """The median of our perturbations divided by that of a peer's, of the images that both broke; None without any."""
    both = ours["moved"][: peer["images"]] & peer["moved"]
    if not both.any():
        return None
    return float(np.median(ours["sizes"][: peer["images"]][both]) / np.median(peer["sizes"][both]))


def aims(comparison, ours, peers):
    """Which aims of a comparison hold.

    Args:
      comparison: from `comparisons.COMPARISONS`.
      ours: our row.
      peers: the peers' rows.

    Returns:
      list of dicts {"aim", "value", "holds"}.
    """
    found = []
    if comparison.speed and peers:
        fastest = max(peers, key=lambda peer: peer["images_per_second"])
        ratio = ours["images_per_second"] / fastest["images_per_second"]
        text = f"at least {comparison.speed:g} times the images/s of {fastest['side']}"
        found.append({"aim": text, "value": ratio, "holds": ratio >= comparison.speed})
    reference = next((peer for peer in peers if peer["side"] == "foolbox"), None)
    if comparison.size and reference:
        ratio = reference["times_size"]
        text = f"median perturbation at most {comparison.size:g} times Foolbox'"
        found.append({"aim": text, "value": ratio, "holds": ratio is not None and ratio <= comparison.size})
    if comparison.floor:
        ratio = ours["times_floor"]
        text = f"time at most {comparison.floor:g} times that of as many bare gradients"
        found.append({"aim": text, "value": ratio, "holds": ratio <= comparison.floor})
    return found


def show(result):
    """Prints one comparison."""
    print(f"\n{result['attack']}, {result['norm']}, {'targeted' if result['targeted'] else 'untargeted'}", flush=True)
    print("".join(format(title, layout) for title, _, layout, _ in _COLUMNS))
    for row in result["sides"]:
        print("".join(_cell(row.get(key), layout, value_format) for _, key, layout, value_format in _COLUMNS))
    for name, error in result["failed"].items():
        print(f"{name}: {error}")
    half = result["half"]
    print(
        f"half of the batch broken beforehand: {half['broken']:.2f} of the time; "
        f"half of it moved 95 % of the way to the boundary: {half['near']:.2f}; compiled {result['traces']} time(s)"
    )
    for aim in result["aims"]:
        value = _cell(aim["value"], ">7", ".3f")
        print(f"{'holds ' if aim['holds'] else 'MISSED'}{value}  {aim['aim']}", flush=True)


def _cell(value, layout, value_format):
    return format("-" if value is None else format(value, value_format), layout)
