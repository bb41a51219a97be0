"""The networks of `tfrobust.models` that tests take in turn."""

from tfrobust import models

FIXED = {"resnet152_imagenet", "vgg19_imagenet"}  # of keras.applications, whose width cannot be chosen
LARGER = {"efficientnet_lite1", "efficientnet_lite2", "efficientnet_lite3", "efficientnet_lite4", "resnet50_imagenet"}
TESTED = sorted(models.MODELS.keys() - FIXED - LARGER)  # one of each family
MASKED = [name for name in TESTED if name != "mlp"]


def narrow(name):
    """The arguments that make a network narrow."""
    return {} if name == "mlp" else {"width": {"nin": 12, "alexnet": 12}.get(name, 4)}
