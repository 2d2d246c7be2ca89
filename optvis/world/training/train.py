"""Train the demo classifier, or its judge, from nothing but this code: python -m optvis.world.training.train."""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from optvis.data.files import made_folder, write_whole
from optvis.models.embedded.network import NORMALIZE, demo_network
from optvis.world.scene_classes import SCENE_CLASSES
from optvis.world.scenes import draw_images
from optvis.world.training.augment import augmented
from optvis.world.training.judge import judge_network


@dataclass(frozen=True)
class Recipe:
    """How a network is trained."""

    scenes: int = 12_000
    epochs: int = 8
    batch: int = 64
    rate: float = 3e-3  # of AdamW (Loshchilov & Hutter, arXiv:1711.05101), at the top of one cycle
    decay: float = 0.02
    reach: float = 14 / 255  # of the adversary, in each number of an image
    smoothing: float = 0.05  # of labels
    sparsity: float = 1e-3  # weight of the sum of |weights| of the last layer


DEMO = Recipe()
JUDGE = Recipe(epochs=4, reach=8 / 255, sparsity=3e-4)


def trained(network: nn.Sequential, recipe: Recipe, seed: int) -> nn.Sequential:
    """Train a network in place on scenes of its own seed, against an adversary; returns it in eval mode.

    Each batch is first moved along the sign of its gradient, from a random start: fast adversarial training (Wong et
    al. 2020, arXiv:2001.03994). Networks trained so have features that can be looked at (Engstrom et al. 2019,
    arXiv:1906.00945). The adversary's reach grows over the first third.
    """
    images, labels = drawn_scenes(recipe.scenes, seed)
    draws = torch.Generator().manual_seed(seed)
    network = network.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(_groups(network, recipe.decay), lr=recipe.rate)
    steps = recipe.epochs * (len(images) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, steps, pct_start=0.15)
    head = list(network.parameters())[-2]
    for step, chosen in enumerate(_batches(len(images), recipe, draws)):
        clean = augmented(images[chosen].float() / 255, draws).contiguous(memory_format=torch.channels_last)
        reach = recipe.reach * min(1.0, step / (0.3 * steps))
        moved = _attacked(network, clean, labels[chosen], reach, recipe, draws)
        loss = _loss(network, moved, labels[chosen], recipe) + recipe.sparsity * head.abs().sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return network.eval()


def folded(network: nn.Sequential) -> nn.Sequential:
    """The trained demo network without batch normalisation, which goes into the convolutions before it."""
    plain = demo_network()
    for (name, stage), (_, trained_stage) in zip(plain.named_children(), network.named_children(), strict=True):
        if isinstance(stage, nn.Sequential):
            pairs = zip(list(trained_stage)[::3], list(trained_stage)[1::3], strict=True)  # type: ignore[call-overload]
            for place, (convolution, normalisation) in enumerate(pairs):
                stage[2 * place].load_state_dict(fuse_conv_bn_eval(convolution, normalisation).state_dict())
        else:
            plain.get_submodule(name).load_state_dict(trained_stage.state_dict())
    return plain.eval()


def drawn_scenes(n: int, seed: int, at_a_time: int = 200) -> tuple[Tensor, Tensor]:
    """The dataset of a seed as bytes (n, 3, 96, 96), and labels (n,), drawn by all cores."""
    from tqdm import tqdm

    runs = [(range(start, min(n, start + at_a_time)), seed) for start in range(0, n, at_a_time)]
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        bar = tqdm(pool.map(_run, runs), total=len(runs), desc="drawing", unit_scale=at_a_time, unit=" scenes")
        pixels = np.concatenate(list(bar))
    return torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.arange(n) % len(SCENE_CLASSES)


def _run(work: tuple[range, int]) -> NDArray[np.uint8]:
    return np.stack(list(draw_images(*work)))


def _groups(network: nn.Module, decay: float) -> list[dict[str, object]]:
    """Weights decay; biases and normalisation do not."""
    weights = [weight for weight in network.parameters() if weight.ndim > 1]
    others = [weight for weight in network.parameters() if weight.ndim <= 1]
    return [{"params": weights, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def _batches(n: int, recipe: Recipe, draws: torch.Generator) -> Iterator[Tensor]:
    from tqdm import tqdm

    whole = n - n % recipe.batch
    epochs = (torch.split(torch.randperm(n, generator=draws)[:whole], recipe.batch) for _ in range(recipe.epochs))
    yield from tqdm(
        chain.from_iterable(epochs), total=recipe.epochs * whole // recipe.batch, desc="training", unit=" steps"
    )


def _attacked(
    network: nn.Module, images: Tensor, labels: Tensor, reach: float, recipe: Recipe, draws: torch.Generator
) -> Tensor:
    """Images (B, 3, H, W) moved by at most `reach` in each number, to where the loss is greater."""
    start = (torch.rand(images.shape, generator=draws) * 2 - 1) * reach
    probe = (images + start).requires_grad_()
    (gradient,) = torch.autograd.grad(_loss(network, probe, labels, recipe), probe)
    offset = (start + 1.25 * reach * gradient.sign()).clamp(-reach, reach)
    return (images + offset).clamp(0, 1)


def _loss(network: nn.Module, images: Tensor, labels: Tensor, recipe: Recipe) -> Tensor:
    return F.cross_entropy(network(NORMALIZE(images)), labels, label_smoothing=recipe.smoothing)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m optvis.world.training.train", description=__doc__)
    parser.add_argument("--judge", action="store_true", help="train the judge in place of the classifier")
    parser.add_argument(
        "--seed", type=int, help="of scenes, weights and batches; 0 for the classifier, 1 for the judge"
    )
    parser.add_argument("--out", type=Path, help="file for the weights; ./demo.safetensors or ./judge.safetensors")
    options = parser.parse_args(arguments)
    print(_train(options.judge, options.seed, options.out))


def _train(judge: bool, seed: int | None, out: Path | None) -> Path:
    from safetensors.torch import save

    seed = int(judge) if seed is None else seed
    target = Path("judge.safetensors" if judge else "demo.safetensors") if out is None else out
    made_folder(target.parent)
    torch.manual_seed(seed)
    network = judge_network() if judge else demo_network(trainable=True)
    done = trained(network, JUDGE if judge else DEMO, seed)
    state = done.state_dict() if judge else {name: weight.half() for name, weight in folded(done).state_dict().items()}
    plain = {name: weight.contiguous() for name, weight in state.items()}
    return write_whole(target, save(plain))


if __name__ == "__main__":
    main()
