"""What an artifact must reach to be shipped."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """What an artifact must reach.

    Attributes:
      min_robust_accuracy: under each attack that has a radius; None: anything.
      max_flip_rate: the share of clean images on which its prediction may differ from the reference's; None: any.
    """

    min_robust_accuracy: float | None = None
    max_flip_rate: float | None = None


def missed(thresholds: Thresholds, artifact: dict) -> list[str]:
    """A line for each threshold that an artifact misses.

    Args:
      thresholds: what it must reach.
      artifact: its entry in the report, with its "flip_rate".
    """
    name, flip_rate = artifact["model"], artifact["flip_rate"]
    lines = []
    if thresholds.max_flip_rate is not None and flip_rate > thresholds.max_flip_rate:
        lines.append(f"{name}: flip rate {flip_rate:.4f} > {thresholds.max_flip_rate}")
    if thresholds.min_robust_accuracy is not None:
        judged = [row for row in artifact["attacks"] if row["robust_accuracy"] is not None]
        if not judged:
            lines.append(
                f"{name}: no attack says how it holds in a ball, so {thresholds.min_robust_accuracy} is not shown"
            )
        lines.extend(
            f"{name}: {row['attack']} leaves {row['robust_accuracy']:.4f} < {thresholds.min_robust_accuracy}"
            for row in judged
            if row["robust_accuracy"] < thresholds.min_robust_accuracy
        )
    return lines
