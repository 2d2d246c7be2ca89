"""Random transforms between image and network. Successive affine ones become one matrix and one sampling."""

from optvis.arguments import check_package
from optvis.transforms.affine import Flip, Jitter, Rotate, Scale
from optvis.transforms.alpha import Blend, OnColor, OnRandomColor, OnRandomNoise
from optvis.transforms.blur import Blur
from optvis.transforms.compose import Compose, Stages
from optvis.transforms.crops import Crop, RandomResizedCrop, Zoom
from optvis.transforms.gradients import NormalizeGradient, NormalizeGradientRMS
from optvis.transforms.noise import GaussianNoise, UniformNoise
from optvis.transforms.pad import Pad
from optvis.transforms.presets import ATLAS, COARSE_TO_FINE, STANDARD, maco_crops, natural_crops
from optvis.transforms.sizes import CropOrPad, Margin, Resize
from optvis.transforms.transform import Affine, Transform

__all__ = [
    "ATLAS",
    "COARSE_TO_FINE",
    "STANDARD",
    "Affine",
    "Blend",
    "Blur",
    "Compose",
    "Crop",
    "CropOrPad",
    "Flip",
    "GaussianNoise",
    "Jitter",
    "Margin",
    "NormalizeGradient",
    "NormalizeGradientRMS",
    "OnColor",
    "OnRandomColor",
    "OnRandomNoise",
    "Pad",
    "RandomResizedCrop",
    "Resize",
    "Rotate",
    "Scale",
    "Stages",
    "Transform",
    "UniformNoise",
    "Zoom",
    "maco_crops",
    "natural_crops",
]

check_package(__name__)
