"""Networks by name or file: the embedded one, torchvision's, timm's, Hugging Face's, and files of weights."""

from optvis.models.zoo.by_name import load

__all__ = ["load"]
