"""What a network looks like to an attacker: gradient overlap, heat-maps per layer, single pixels, label maps, certificates.

Each analysis returns arrays; `analysis.pictures` shows them. `python -m trainers.analyze` writes both.
"""

from tfrobust.analysis import certificates, pictures, smoothing
from tfrobust.analysis.gradient_overlap import checkerboard, checkerboard_share, gradient_overlap, top_pixels
from tfrobust.analysis.heatmaps import gradient_heatmaps, perturbation_heatmaps
from tfrobust.analysis.label_map import LabelMap, label_map
from tfrobust.analysis.white_pixel import white_pixel_success

__all__ = [
    "LabelMap",
    "certificates",
    "checkerboard",
    "checkerboard_share",
    "gradient_heatmaps",
    "gradient_overlap",
    "label_map",
    "perturbation_heatmaps",
    "pictures",
    "smoothing",
    "top_pixels",
    "white_pixel_success",
]
