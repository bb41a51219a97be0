"""Checks of a model behind a server, from what it answered to a few images before it was attacked."""

from tfrobust.evaluation.checks.finding import Finding
from tfrobust.evaluation.evidence import Evidence
from tfrobust.targets.serving import Probe


def endpoint(evidence: Evidence):
    """UNREPEATABLE, BATCH, ROUNDED: answers that depend on more than the image, or say less than they could."""
    if evidence.probe is not None:
        yield from findings(evidence.probe)


def findings(probe: Probe) -> list[Finding]:
    """What is wrong with an endpoint's answers."""
    return [*_unrepeatable(probe), *_other_batch(probe), *_rounded(probe)]


def _unrepeatable(probe):
    if not probe.repeats:
        yield Finding(
            code="UNREPEATABLE",
            evidence=f"the same request for {probe.images} images gets other answers, which differ by up to "
            f"{probe.asked_again:.2g} of the scores' range",
            remedy="the model draws random numbers, or several versions answer (a load balancer, a canary): name the version "
            "in the address; else every prediction is the majority of several answers, and attacks need more queries",
        )


def _other_batch(probe):
    if probe.repeats and probe.other_batch > 1e-3:
        yield Finding(
            code="BATCH",
            evidence=f"{probe.images} images asked one by one get other answers than together, by up to "
            f"{probe.other_batch:.2g} of the scores' range",
            remedy="evaluate with --images_per_request=1: every number here depends on how requests are put together",
        )


def _rounded(probe):
    if probe.step is not None:
        yield Finding(
            code="ROUNDED",
            evidence=f"all scores are multiples of {probe.step:.2g}",
            remedy="attacks from scores do not see smaller changes: use decision-based ones too, such as "
            "hop_skip_jump(linf), or ask for the scores before they are rounded",
        )
