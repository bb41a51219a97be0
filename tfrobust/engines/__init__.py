"""What spreads independent tasks over processes: of this machine, or of a Ray cluster."""

from tfrobust.engines.engine import Engine, run

__all__ = ["Engine", "run"]
