"""What a model must reach to be shipped."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """What a model must reach.

    Attributes:
      min_robust_accuracy: under each attack that has a radius; None: anything.
      max_flip_rate: the share of clean images on which its prediction may differ from the reference's; None: any.
    """

    min_robust_accuracy: float | None = None
    max_flip_rate: float | None = None

    def by_attack(self, report: Mapping) -> dict[str, list[str]]:
        """For each attack of a report that has a robust accuracy: a line if it leaves too little, else none."""
        least = self.min_robust_accuracy
        found: dict[str, list[str]] = {}
        for row in report["attacks"]:
            left = row["robust_accuracy"]
            if left is not None:
                line = f"{report['model']}: {row['attack']} leaves {left:.4f} < {least}"
                found.setdefault(row["attack"], []).extend([line] if least is not None and left < least else [])
        return found


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
        judged = thresholds.by_attack(artifact)
        if not judged:
            lines.append(
                f"{name}: no attack says how it holds in a ball, so {thresholds.min_robust_accuracy} is not shown"
            )
        lines.extend(line for lines_of_one in judged.values() for line in lines_of_one)
    return lines
