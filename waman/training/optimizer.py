"""AdamW over the decoder's parameters: what decays and what does not."""

from typing import Any

import torch
from torch import Tensor, nn

from waman.training.recipe import AdamW


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay, vectors (the norms' weights) do not. Each parameter stands in exactly one group."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def build_optimizer(model: nn.Module, recipe: AdamW) -> torch.optim.AdamW:
    """PyTorch's fused AdamW: one pass over the weights, on a CPU as well."""
    return torch.optim.AdamW(
        parameter_groups(model, recipe.weight_decay),
        lr=recipe.learning_rate,
        betas=(recipe.beta1, recipe.beta2),
        eps=recipe.eps,
        fused=True,
    )


def set_learning_rate(optimizer: torch.optim.AdamW, value: float) -> None:
    """Sets the learning rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = value


def moments(model: nn.Module, optimizer: torch.optim.AdamW) -> dict[str, Tensor]:
    """The optimizer's memory by name: `mean.PARAMETER`, `mean_square.PARAMETER`; empty before the first step."""
    found = {}
    for name, parameter in model.named_parameters():
        state = optimizer.state.get(parameter, {})
        if state:
            found[f"mean.{name}"], found[f"mean_square.{name}"] = state["exp_avg"], state["exp_avg_sq"]
    return found


def restore_moments(
    model: nn.Module, optimizer: torch.optim.AdamW, saved: dict[str, Tensor], *, num_steps_done: int
) -> None:
    """Puts back what `moments` gave after so many steps."""
    if num_steps_done == 0:
        return
    for name, parameter in model.named_parameters():
        optimizer.state[parameter] = {
            "step": torch.tensor(float(num_steps_done), dtype=torch.float32),
            "exp_avg": saved[f"mean.{name}"].to(parameter),
            "exp_avg_sq": saved[f"mean_square.{name}"].to(parameter),
        }
