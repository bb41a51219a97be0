"""Models behind a server: REST and gRPC as TF Serving speaks them, and the open inference protocol (v2) of KServe and Triton."""

from tfrobust.targets.serving.address import is_address
from tfrobust.targets.serving.config import TOKEN_VARIABLE, EndpointConfig
from tfrobust.targets.serving.endpoint import ServingTarget
from tfrobust.targets.serving.probe import Probe

__all__ = ["TOKEN_VARIABLE", "EndpointConfig", "Probe", "ServingTarget", "is_address"]
