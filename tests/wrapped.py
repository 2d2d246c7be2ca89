"""A tiny network in everything that people wrap networks in; each with the prefix that its layers' names have."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.utils import parametrizations

from .operations import tiny_network


def compiled_in_place() -> nn.Module:
    network = tiny_network()
    network.compile(backend="eager")
    return network


def compiled_parts() -> nn.Module:
    network = tiny_network()
    network.conv2.compile(backend="eager")
    network.relu2 = torch.compile(network.relu2, backend="eager")
    return network


def distributed() -> nn.Module:
    """A network of several processes, of which this is the only one."""
    if not torch.distributed.is_initialized():
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        store = torch.distributed.HashStore()
        torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    return nn.parallel.DistributedDataParallel(tiny_network())


def averaged_by_timm() -> nn.Module:
    import timm

    return timm.utils.ModelEmaV3(tiny_network())


def with_lora() -> nn.Module:
    import peft

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = peft.LoraConfig(target_modules=["conv2", "fc"], r=2, init_lora_weights=False)
        return peft.get_peft_model(tiny_network(), config)


def parametrized() -> nn.Module:
    network = tiny_network()
    parametrizations.weight_norm(network.conv1)
    parametrizations.weight_norm(network.conv2)
    parametrizations.orthogonal(network.fc)
    return network


def spectral() -> nn.Module:
    """Its weights are changed by each pass in training mode."""
    network = tiny_network()
    parametrizations.spectral_norm(network.conv2)
    return network


#: By name: what builds it, and the prefix.
WRAPPED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "torch.compile": (lambda: torch.compile(tiny_network(), backend="eager"), ""),
    "compile()": (compiled_in_place, ""),
    "compiled parts": (compiled_parts, ""),
    "a compiled network in another": (lambda: nn.Sequential(torch.compile(tiny_network(), backend="eager")), "0."),
    "DataParallel": (lambda: nn.DataParallel(tiny_network()), "module."),
    "DistributedDataParallel": (distributed, "module."),
    "AveragedModel": (lambda: torch.optim.swa_utils.AveragedModel(tiny_network()), "module."),
    "ModelEmaV3": (averaged_by_timm, "module."),
    "LoRA": (with_lora, "base_model.model."),
    "weight norm": (parametrized, ""),
    "spectral norm": (spectral, ""),
}
