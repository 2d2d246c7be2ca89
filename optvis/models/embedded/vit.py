"""The small vision transformer of the embedded world: a class token, two registers, 12 x 12 patches."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from optvis.models.classifier import Classifier
from optvis.models.embedded.labels import LABELS, resolve_labels
from optvis.models.embedded.network import NORMALIZE, SIZE, load_weights

VIT_WEIGHTS = Path(__file__).with_name("demo_vit.safetensors")
PATCH_SIZE = 8  # pixels
WIDTH, DEPTH, HEADS, REGISTERS = 128, 6, 4, 2


class PatchEmbedding(nn.Sequential):
    """Three convolutions that halve an image each (Xiao et al. 2021, arXiv:2106.14881); tokens (B, P, width).

    Their kernels of four pixels are centred on the patch: token (row, column) sees 22 px around the middle of its
    patch.
    """

    grid_size = (SIZE // PATCH_SIZE, SIZE // PATCH_SIZE)

    def __init__(self, widths: tuple[int, ...] = (3, 24, 48, WIDTH)) -> None:
        super().__init__()
        for index, (in_channels, out_channels) in enumerate(pairwise(widths)):
            self.append(nn.Conv2d(in_channels, out_channels, 4, stride=2, padding=1))
            if index < len(widths) - 2:
                self.append(nn.GELU())

    def forward(self, images: Tensor) -> Tensor:
        for layer in self:
            images = layer(images)
        return images.flatten(2).mT


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, arXiv:1706.03762)."""

    def __init__(self, width: int = WIDTH, num_heads: int = HEADS) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.head_dim = width // num_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        query, key, value = self.qkv(tokens).unflatten(2, (3, self.num_heads, self.head_dim)).permute(2, 0, 3, 1, 4)
        weights = (query * self.head_dim**-0.5 @ key.mT).softmax(-1)
        return self.proj((weights @ value).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention and a perceptron, each normalised before and added to its input."""

    def __init__(self, width: int = WIDTH, num_heads: int = HEADS, mlp_ratio: int = 2) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, num_heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, mlp_ratio * width), nn.GELU(), nn.Linear(mlp_ratio * width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))  # type: ignore[no-any-return]


class DemoViT(nn.Module):
    """A vision transformer (Dosovitskiy et al. 2021, arXiv:2010.11929) with registers (arXiv:2309.16588).

    The class token comes first, then the registers, then the patches row by row. The head reads the mean of the class
    token and of the mean patch.

    Args:
        num_classes: number of outputs.
    """

    num_prefix_tokens = 1 + REGISTERS

    def __init__(self, num_classes: int = len(LABELS)) -> None:
        super().__init__()
        self.patch_embed = PatchEmbedding()
        rows, columns = self.patch_embed.grid_size
        self.cls_token = nn.Parameter(torch.randn(1, 1, WIDTH, device="cpu") * 0.02)
        self.reg_token = nn.Parameter(torch.randn(1, REGISTERS, WIDTH, device="cpu") * 0.02)
        self.pos_embed = nn.Parameter(torch.randn(1, rows * columns, WIDTH, device="cpu") * 0.02)
        self.blocks = nn.Sequential(*(Block() for _ in range(DEPTH)))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.forward_features(images)
        pooled = (tokens[:, 0] + tokens[:, self.num_prefix_tokens :].mean(1)) / 2
        return self.head(pooled)  # type: ignore[no-any-return]

    def forward_features(self, images: Tensor) -> Tensor:
        """Tokens (B, 147, width) before the head."""
        patches = self.patch_embed(images) + self.pos_embed
        prefix = torch.cat([self.cls_token, self.reg_token], 1).expand(len(images), -1, -1)
        return self.norm(self.blocks(torch.cat([prefix, patches], 1)))  # type: ignore[no-any-return]


def demo_vit(*, trained: bool = True, num_classes: int = len(LABELS)) -> Classifier:
    """The classifier that `load("demo-vit")` returns; untrained, its random weights are always the same."""
    labels = resolve_labels(trained, num_classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = DemoViT(num_classes)
    if trained:
        network.load_state_dict(load_weights(VIT_WEIGHTS), assign=True)
    return Classifier(network.eval(), NORMALIZE, SIZE, labels, name="demo-vit")
