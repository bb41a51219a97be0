"""What a check returns."""

from collections.abc import Callable, Iterator
from typing import TypedDict

from tfrobust.evaluation.evidence import Evidence


class Finding(TypedDict):
    """One entry of the report's list of warnings.

    Attributes:
      code: what to look for in docs/report.md.
      evidence: what was found.
      remedy: what to do about it.
    """

    code: str
    evidence: str
    remedy: str


Check = Callable[[Evidence], Iterator[Finding]]
