"""Ready-made chains of transforms."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from optvis.transforms.affine import Flip, Jitter, Rotate, Scale
from optvis.transforms.compose import Compose, Stages
from optvis.transforms.crops import RandomResizedCrop, Zoom
from optvis.transforms.noise import GaussianNoise, UniformNoise
from optvis.transforms.pad import Pad
from optvis.transforms.sizes import Resize
from optvis.transforms.warp import Size

#: Lucid's standard chain (lucid.optvis.transform.standard_transforms, 2017), here with random numbers per image.
STANDARD = Compose(
    Pad(0.5),
    Jitter(8),
    Scale([1 + (i - 5) / 50 for i in range(11)]),
    Rotate([*range(-10, 11), *[0] * 5]),
    Jitter(4),
)

#: Lucid's chain for the icons of an activation atlas (lucid.recipes.activation_atlas.render.render_icons, 2019), here
#: with random numbers per image. There a pad of 16 comes before it, and `crop_or_pad_to` the canvas's size, with black,
#: after it.
ATLAS = Compose(
    Pad(0.5),
    *[Jitter(4), Jitter(4), Jitter(8), Jitter(8), Jitter(8)],
    Scale([0.998**n for n in range(20, 40)]),
    Rotate([*range(-20, 20), *range(-10, 10), *range(-5, 5), *[0] * 5]),
    Jitter(2),
)

#: Half of the pixels for the first 18 steps, then all of them; docs/optimizations.md shows the measured effect.
COARSE_TO_FINE = Stages({0: Compose(STANDARD, Resize(0.72)), 18: STANDARD})


def maco_crops(size: int | Size = 224, noise: float = 0.04) -> Compose:
    """Build the crops of MACO: random windows of a large canvas, resized to the network's input, with noise.

    Centre N(0.5, 0.15) and side N(0.25, 0.1) are the paper's (Fel et al. 2023, arXiv:2306.06805). The noise is that
    of Xplique, the authors' library (`xplique.features_visualizations.maco`): Gaussian, plus uniform of half its size;
    the 0.08 there is for images in [-1, 1]. There a step averages over 32 crops of one image, and the mean of the side
    decreases from 0.5 to 0.05, with a deviation of 0.05; here a step has one crop per image.

    Args:
        size: side, or (height, width), in pixels, of the network's input.
        noise: standard deviation of the Gaussian noise, for images in [0, 1]; the uniform noise is within half of it.

    Returns:
        A chain for images (B, 3, H, W) in [0, 1], of any size: about four times `size` shows each pixel once.

    Example:
        >>> import torch
        >>> from optvis.params import Streams
        >>> maco_crops(56)(torch.rand(2, 3, 224, 224), Streams((0, 1), "demo")).shape
        torch.Size([2, 3, 56, 56])
    """
    return Compose(Pad(0.5), Zoom(), Resize(size), GaussianNoise(noise), UniformNoise(noise / 2))


def natural_crops(size: float | int | Size = 0.72, noise: float = 0.1, at_least: int | Size = 1) -> Compose:
    """Build the chain of the recipe "natural": crops of 0.55 to 1.1 of the side, mirrored and turned, with noise.

    A picture that has to be right at every scale and place, and under noise, is one that other networks recognise;
    docs/picture_quality.md shows what each part adds.

    Args:
        size: of the network's input: side, or (height, width), in pixels; a float is a share of the canvas's sides.
            Fewer pixels make a step faster.
        noise: standard deviation of the Gaussian noise, for images in [0, 1].
        at_least: with a share, the smallest side, or (height, width), of a view in pixels; see `Resize`.

    Returns:
        A chain for images (B, C, H, W) in [0, 1], of any size.

    Example:
        >>> import torch
        >>> from optvis.params import Streams
        >>> natural_crops()(torch.rand(2, 3, 100, 100), Streams((0, 1), "demo")).shape
        torch.Size([2, 3, 72, 72])
    """
    crops = [Pad("reflect"), RandomResizedCrop((0.55, 1.1)), Flip(), Rotate(range(-10, 11)), Resize(size, at_least)]
    return Compose(*crops, GaussianNoise(noise))


def as_transform(transform: nn.Module | Sequence[nn.Module] | str | None) -> nn.Module | None:
    """Return a transform for what a user gave: a module, a list of modules applied in turn, or None for none.

    Raises:
        TypeError: anything else.

    Example:
        >>> as_transform([Pad(0.5), Jitter(8)])
        Compose(Pad(0.5), Jitter(8))
    """
    if transform is None or isinstance(transform, nn.Module):
        return transform
    if isinstance(transform, list | tuple):
        return Compose(*transform)
    raise TypeError(f"transform is {transform!r}; expected a module on (B, 3, H, W), a list of modules, or None")
