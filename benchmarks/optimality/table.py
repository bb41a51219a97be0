"""What was found, as text."""

import numpy as np

from benchmarks.optimality import score


def distances(row) -> np.ndarray:
    """float [images], infinite where nothing was found."""
    return np.array([np.inf if distance is None else distance for distance in row["distances"]])


def by_norm(report) -> dict[str, list[dict]]:
    """The rows of each norm with their "optimality", the highest first; what failed comes last, with None."""
    found = {}
    for norm in dict.fromkeys(row["norm"] for row in report["attacks"]):
        rows = [row for row in report["attacks"] if row["norm"] == norm]
        best = score.nearest([distances(row) for row in rows])
        scored = [
            {**row, "optimality": None if row["failed"] else score.optimality(distances(row), best)} for row in rows
        ]
        found[norm] = sorted(
            scored, key=lambda row: -1.0 if row["optimality"] is None else row["optimality"], reverse=True
        )
    return found


def line(row) -> str:
    """One attack: what it reached, and what that took."""
    if row["failed"]:
        return f"{row['norm']:5} {row['side']:13} {row['attack']:42} {row['failed']}"
    reached = distances(row)
    median = np.median(reached)
    return (
        f"{row['norm']:5} {row['side']:13} {row['attack']:42} left {np.isinf(reached).mean():6.1%}  median {median:8.4f}"
        f"  passes {row['forward']:6.0f} + {row['backward']:5.0f}  {row['seconds']:6.1f} s"
    )


def table(report) -> str:
    """In Markdown, a table for each norm."""
    lines = []
    for norm, rows in by_norm(report).items():
        lines += [
            "",
            f"| {norm} | of | optimality | left | median | forward | backward |",
            "|---|---|---|---|---|---|---|",
        ]
        for row in rows:
            if row["failed"]:
                lines.append(f"| `{row['attack']}` | {row['side']} | {row['failed']} | | | | |")
                continue
            reached = distances(row)
            lines.append(
                f"| `{row['attack']}` | {row['side']} | {row['optimality']:.3f} | {np.isinf(reached).mean():.0%} "
                f"| {np.median(reached):.4g} | {row['forward']:.0f} | {row['backward']:.0f} |"
            )
    return "\n".join(lines[1:])
