"""Train the demo classifiers or a judge on scenes drawn by code: python -m tests.training.train."""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice, repeat
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from optvis.data.files import atomic_write, ensure_dir
from optvis.errors import suggest
from optvis.models.embedded.network import NORMALIZE, demo_network
from optvis.models.embedded.vit import DemoViT
from optvis.progress import progress_bar
from optvis.world import LABELS
from optvis.world.scene_classes import SCENE_CLASSES
from optvis.world.scenes import draw_images

from .augment import augment
from .distill import DistillationStep
from .judge import JUDGES


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of a training run.

    Args:
        scenes: number of scenes.
        epochs: passes over them.
        batch_size: scenes a step.
        learning_rate: of AdamW (Loshchilov & Hutter, arXiv:1711.05101), at the peak of one cycle.
        weight_decay: of convolutions and linear layers.
        epsilon: the largest change of the adversary in each number of an image.
        label_smoothing: of the cross-entropy.
        sparsity: weight of the sum of |weights| of the last layer.
        leave_out: labels of classes that no scene shows; the network keeps outputs for them.
        share: of all steps, those that are taken; the cycle of the learning rate ends after all.
    """

    scenes: int = 12_000
    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    epsilon: float = 14 / 255
    label_smoothing: float = 0.05
    sparsity: float = 1e-3
    leave_out: tuple[str, ...] = ()
    share: float = 1.0


DEMO_CONFIG = TrainingConfig()
JUDGE_CONFIG = TrainingConfig(epochs=4, epsilon=8 / 255, sparsity=3e-4)
VIT_CONFIG = TrainingConfig(
    scenes=24_000, epochs=4, learning_rate=1.5e-3, weight_decay=0.05, epsilon=8 / 255, sparsity=0.0, share=0.7
)


def train_network(network: nn.Sequential, config: TrainingConfig, seed: int) -> nn.Sequential:
    """Train a network in place on scenes of a seed, with adversarial examples; returns it in eval mode.

    Each batch takes one step along the sign of its gradient, from a random start: fast adversarial training (Wong et
    al. 2020, arXiv:2001.03994). Networks trained this way have features that people can interpret (Engstrom et al.
    2019, arXiv:1906.00945). The adversary's epsilon grows over the first 30 % of the steps.
    """
    images, labels = leave_out_classes(*draw_dataset(config.scenes, seed), config.leave_out)
    generator = Generator().manual_seed(seed)
    network = network.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(_parameter_groups(network, config.weight_decay), lr=config.learning_rate)
    steps = config.epochs * (len(images) // config.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, steps, pct_start=0.15)
    head = list(network.parameters())[-2]
    for step, batch in enumerate(_batches(len(images), config, generator)):
        clean = augment(images[batch].float() / 255, generator).contiguous(memory_format=torch.channels_last)
        epsilon = config.epsilon * min(1.0, step / (0.3 * steps))
        adversarial = _attack(network, clean, labels[batch], epsilon, config, generator)
        loss = _loss(network, adversarial, labels[batch], config) + config.sparsity * head.abs().sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return network.eval()


def train_vit(network: DemoViT, config: TrainingConfig, seed: int) -> DemoViT:
    """Train the transformer in place on scenes of a seed, taught by the embedded CNN; returns it in eval mode.

    Each batch makes two updates, see `DistillationStep`. The adversary's epsilon grows over the first half.
    """
    images, labels = leave_out_classes(*draw_dataset(config.scenes, seed), config.leave_out)
    generator = Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(_parameter_groups(network.train(), config.weight_decay), lr=config.learning_rate)
    batches = config.epochs * (len(images) // config.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, 2 * batches, pct_start=0.15)
    step = DistillationStep(network, optimizer, schedule, config.label_smoothing)
    for number, batch in enumerate(islice(_batches(len(images), config, generator), round(config.share * batches))):
        epsilon = config.epsilon * min(1.0, number / (0.5 * batches))
        step.run(images[batch].float() / 255, labels[batch], epsilon, generator)
    return network.eval()


def leave_out_classes(images: Tensor, labels: Tensor, leave_out: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Drop scenes of some classes, given by their labels; a ValueError names one that does not exist."""
    unknown = [label for label in leave_out if label not in LABELS]
    if unknown:
        raise ValueError(f"no class {unknown[0]!r}; {suggest(unknown[0], LABELS, 'there are ' + ', '.join(LABELS))}")
    is_kept = ~torch.isin(labels, torch.tensor([LABELS.index(label) for label in leave_out], dtype=torch.long))
    return images[is_kept], labels[is_kept]


def fold_batch_norm(network: nn.Sequential) -> nn.Sequential:
    """The trained demo network with batch normalisation folded into the convolutions before it."""
    plain = demo_network()
    for (name, stage), (_, trained_stage) in zip(plain.named_children(), network.named_children(), strict=True):
        if isinstance(stage, nn.Sequential):
            pairs = zip(list(trained_stage)[::3], list(trained_stage)[1::3], strict=True)  # type: ignore[call-overload]
            for index, (convolution, batch_norm) in enumerate(pairs):
                stage[2 * index].load_state_dict(fuse_conv_bn_eval(convolution, batch_norm).state_dict())
        else:
            plain.get_submodule(name).load_state_dict(trained_stage.state_dict())
    return plain.eval()


def draw_dataset(n: int, seed: int, batch_size: int = 200) -> tuple[Tensor, Tensor]:
    """The dataset of a seed as bytes (n, 3, 96, 96), and labels (n,), drawn on all cores."""
    batches = [range(start, min(n, start + batch_size)) for start in range(0, n, batch_size)]
    pixels = draw_images(batches[0], seed) if len(batches) == 1 else _draw_on_all_cores(batches, seed)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.arange(n) % len(SCENE_CLASSES)


def _draw_on_all_cores(batches: Sequence[range], seed: int) -> NDArray[np.uint8]:
    """The same for several batches; for one alone, processes would take longer to start."""
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        bar = progress_bar(
            pool.map(draw_images, batches, repeat(seed)),
            total=len(batches),
            description="drawing",
            unit_scale=len(batches[0]),
            unit=" scenes",
        )
        return np.concatenate(list(bar))


def _parameter_groups(network: nn.Module, decay: float) -> list[dict[str, object]]:
    """Weights with decay; biases and normalisation without."""
    weights = [weight for weight in network.parameters() if weight.ndim > 1]
    others = [weight for weight in network.parameters() if weight.ndim <= 1]
    return [{"params": weights, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def _batches(n: int, config: TrainingConfig, generator: Generator) -> Iterator[Tensor]:
    """Indices (batch_size,) of shuffled scenes, over all epochs."""
    size = config.batch_size
    whole = n - n % size
    epochs = (torch.split(torch.randperm(n, generator=generator)[:whole], size) for _ in range(config.epochs))
    yield from progress_bar(
        chain.from_iterable(epochs), total=config.epochs * whole // size, description="training", unit=" steps"
    )


def _attack(
    network: nn.Module, images: Tensor, labels: Tensor, epsilon: float, config: TrainingConfig, generator: Generator
) -> Tensor:
    """Change images (B, 3, H, W) by at most epsilon in each number, so that the loss grows."""
    start = (torch.rand(images.shape, generator=generator) * 2 - 1) * epsilon
    probe = (images + start).requires_grad_()
    (gradient,) = torch.autograd.grad(_loss(network, probe, labels, config), probe)
    offset = (start + 1.25 * epsilon * gradient.sign()).clamp(-epsilon, epsilon)
    return (images + offset).clamp(0, 1)


def _loss(network: nn.Module, images: Tensor, labels: Tensor, config: TrainingConfig) -> Tensor:
    return F.cross_entropy(network(NORMALIZE(images)), labels, label_smoothing=config.label_smoothing)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.training.train", description=__doc__)
    parser.add_argument(
        "--judge",
        nargs="?",
        const="residual",
        choices=JUDGES,
        help="train a judge of this architecture instead of the classifier; default: residual",
    )
    parser.add_argument("--vit", action="store_true", help="train the transformer instead of the classifier")
    parser.add_argument(
        "--seed", type=int, help="of scenes, weights and batches; default: 0 for the classifiers, 1 for the judge"
    )
    parser.add_argument("--out", type=Path, help="file for the weights; default: ./demo.safetensors, demo_vit or judge")
    parser.add_argument("--leave-out", nargs="+", default=[], metavar="CLASS", help="classes that no scene shows")
    options = parser.parse_args(arguments)
    if options.vit and options.judge:
        parser.error("--vit and --judge train different networks; give one")
    train = _train_vit if options.vit else partial(_train, options.judge)
    print(train(options.seed, options.out, options.leave_out))


def _train_vit(seed: int | None, out: Path | None, leave_out: Sequence[str]) -> Path:
    """Train the transformer from random weights and write it; returns the file."""
    target, seed = Path("demo_vit.safetensors") if out is None else out, 0 if seed is None else seed
    ensure_dir(target.parent)
    torch.manual_seed(seed)
    network = train_vit(DemoViT(), replace(VIT_CONFIG, leave_out=tuple(leave_out)), seed)
    return _write_weights(target, {name: weight.half() for name, weight in network.state_dict().items()})


def _train(judge: str | None, seed: int | None, out: Path | None, leave_out: Sequence[str]) -> Path:
    """Train from random weights and write the result; returns the file."""
    seed = int(judge is not None) if seed is None else seed
    target = Path("judge.safetensors" if judge else "demo.safetensors") if out is None else out
    ensure_dir(target.parent)
    torch.manual_seed(seed)
    network = JUDGES[judge]() if judge else demo_network(batch_norm=True)
    config = replace(JUDGE_CONFIG if judge else DEMO_CONFIG, leave_out=tuple(leave_out))
    network = train_network(network, config, seed)
    state = network.state_dict()
    if not judge:
        state = {name: weight.half() for name, weight in fold_batch_norm(network).state_dict().items()}
    return _write_weights(target, state)


def _write_weights(target: Path, state: Mapping[str, Tensor]) -> Path:
    from safetensors.torch import save

    return atomic_write(target, save({name: weight.contiguous() for name, weight in state.items()}))


if __name__ == "__main__":
    main()
