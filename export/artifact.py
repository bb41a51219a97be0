"""What was found of one exported artifact: its entry in the report, and which checks it passes."""

import dataclasses
from collections.abc import Mapping, Sequence

import tfrobust as tfr
from export import conformance, runtime_drift
from export.cost import Cost
from export.departure import Departure
from export.differential import Differential
from export.masking import Masking
from export.weights import Changed
from tfrobust.attacks import Attack
from tfrobust.evaluation import Evaluation
from tfrobust.evaluation.thresholds import Thresholds, missed


@dataclasses.dataclass(frozen=True)
class Artifact:
    """What was found of one.

    Attributes:
      path: of the artifact.
      target: the artifact.
      precision: one of `conformance.LIMITS`.
      transferred: under the attacks on the reference, all images.
      native: a SavedModel under the attacks on its own gradients, all images; None of another artifact.
      own: under attacks on itself, the first `verification.Plan.own_examples` images.
      differences: of its logits, by kind of images.
      flip_rate: the share of clean images that it classifies differently than the reference.
      manifest: what contradicts its manifest; None without one.
      drift, departures, changed_weights: of a TFLite file, else None.
      survival: by attack, see `wire.survival`.
      differential: None without a graph, or without an attack for it.
      remarks: what could not be done.
      cost: its size, and the time of one image.
      masking: in each ball.
      by_image: for each attack of the plan, how many of the first images it breaks made on the artifact itself, made on the
        reference, by one of the two alone.
      device_results: what devices have found of the file, see `export.device.results`.
    """

    path: str
    target: tfr.targets.Target
    precision: str
    transferred: Evaluation
    native: Evaluation | None
    own: Evaluation | None
    differences: Mapping[str, conformance.Difference]
    flip_rate: float
    manifest: list[str] | None
    drift: runtime_drift.Drift | None
    survival: Mapping[str, dict]
    remarks: Sequence[str]
    cost: Cost
    departures: Sequence[Departure] | None = None
    changed_weights: Sequence[Changed] | None = None
    differential: Differential | None = None
    masking: Sequence[Masking] = ()
    by_image: Mapping[str, dict] = dataclasses.field(default_factory=dict)
    device_results: Sequence[dict] = ()

    def source_of(self, attacks: Sequence[Attack]) -> Evaluation | None:
        """These attacks on the artifact itself, whose images are shown to others; None if one could not be made."""
        made, count = self.native or self.own, len(attacks)
        if made is None or [outcome.attack for outcome in made.outcomes[:count]] != list(attacks):
            return None
        return dataclasses.replace(made, outcomes=made.outcomes[:count])

    def rows(self) -> list[dict]:
        """The entries of all its attacks: first those on all images with the most access, then the others."""
        found = [self.native, self.transferred, self.own]
        return [
            {**row, "examples": one.report["examples"]}
            for one in found
            if one is not None
            for row in one.report["attacks"]
        ]

    def report(self) -> dict:
        """Its entry in report.json."""
        first = self.native or self.transferred
        return {
            **first.report,
            "attacks": self.rows(),
            "flip_rate": self.flip_rate,
            "precision": self.precision,
            "size": self.cost.size,
            "milliseconds": self.cost.milliseconds,
            "conformance": {kind: found._asdict() for kind, found in self.differences.items()},
            "manifest": self.manifest,
            "runtime_drift": self.drift
            and {**self.drift._asdict(), "settings": [one._asdict() for one in self.drift.settings]},
            "departures": None if self.departures is None else [one._asdict() for one in self.departures],
            "changed_weights": None
            if self.changed_weights is None
            else [one._asdict() for one in self.changed_weights],
            "survival": dict(self.survival),
            "differential": self.differential and self.differential._asdict(),
            "masking": [one._asdict() for one in self.masking],
            "by_image": dict(self.by_image),
            "remarks": list(self.remarks),
            "endpoint": self.target.about(),
            "device_results": list(self.device_results),
        }

    def _weights_missed(self):
        if not self.changed_weights:
            return []
        worst = max(self.changed_weights, key=lambda one: one.steps)
        return [
            f"{self.path}: {len(self.changed_weights)} constants are not the reference's, that of {worst.operation} "
            f"{worst.tensor.split(';')[0]!r} by {worst.steps:.1f} steps of its precision"
        ]

    def checks(self, thresholds: Thresholds, limit: float | None) -> dict[str, list[str]]:
        """By check: a line for each failure."""
        judged = {"model": self.path, "attacks": self.rows(), "flip_rate": self.flip_rate}
        limit = conformance.limit_of(self.precision, limit, conformance.layers_of(self.target))
        found = {
            f"logits on {kind} images": conformance.missed(self.path, self.precision, limit, {kind: one})
            for kind, one in self.differences.items()
        }
        for result in self.device_results:
            if not result["relative_rms"] <= limit:
                line = f"{self.path}: on {result['device']['machine']} its logits differ by {result['relative_rms']:.2g} of their spread"
                found[f"logits on {result['path']}"] = [f"{line}, more than {limit:g}"]
        if self.changed_weights is not None:
            found["weights"] = self._weights_missed()
        if self.manifest is not None:
            found["manifest"] = [f"{self.path}: {line}" for line in self.manifest]
        if thresholds.max_flip_rate is not None:
            alone = dataclasses.replace(thresholds, min_robust_accuracy=None)
            found["flip rate"] = missed(alone, judged)
        if thresholds.min_robust_accuracy is not None:
            alone = dataclasses.replace(thresholds, max_flip_rate=None)
            found["robust accuracy"] = missed(alone, judged)
        return found
