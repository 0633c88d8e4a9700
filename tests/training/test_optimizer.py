import dataclasses

import pytest
import torch
from torch import nn

from waman.model.config import ModelConfig
from waman.model.decoder import Decoder
from waman.training.optimizer import build_optimizer, moments, parameter_groups, set_learning_rate
from waman.training.recipe import AdamW


def test_matrices_decay_and_norms_do_not(tiny_model: ModelConfig) -> None:
    decoder = Decoder(dataclasses.replace(tiny_model, vocab_size=64, tie_embeddings=False))
    names = {id(parameter): name for name, parameter in decoder.named_parameters()}
    decayed, spared = parameter_groups(decoder, 0.1)
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    spared_names = {names[id(parameter)] for parameter in spared["params"]}
    decayed_names = {names[id(parameter)] for parameter in decayed["params"]}
    assert spared_names == {name for name in names.values() if "norm" in name}
    assert len(spared_names) == 5
    assert decayed_names | spared_names == set(names.values())
    assert {"embedding.weight", "unembedding.weight"} <= decayed_names


def test_two_steps_are_those_worked_by_hand() -> None:
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(2.0)
    recipe = AdamW(learning_rate=0.1, beta1=0.9, beta2=0.95, eps=1e-8, weight_decay=0.1)
    optimizer = build_optimizer(model, recipe)
    # Loshchilov and Hutter 2019, algorithm 2: decay by lr * weight_decay, then lr * mean / (root of mean square + eps),
    # both means divided by what is missing from their weights. Step 1: mean 0.3 / 0.1, mean square 0.45 / 0.05.
    model.weight.grad = torch.tensor([[3.0]])
    optimizer.step()
    first = 2.0 * (1 - 0.01) - 0.1 * 3.0 / 3.0
    assert model.weight.item() == pytest.approx(first, rel=1e-6)
    # Step 2, gradient -1, half the rate: mean (0.27 - 0.1) / 0.19, mean square (0.4275 + 0.05) / 0.0975.
    set_learning_rate(optimizer, 0.05)
    model.weight.grad = torch.tensor([[-1.0]])
    optimizer.step()
    second = first * (1 - 0.005) - 0.05 * (0.17 / 0.19) / (0.4775 / 0.0975) ** 0.5
    assert model.weight.item() == pytest.approx(second, rel=1e-6)
    assert moments(model, optimizer)["mean.weight"].item() == pytest.approx(0.17, rel=1e-6)
    assert moments(model, optimizer)["mean_square.weight"].item() == pytest.approx(0.4775, rel=1e-6)
