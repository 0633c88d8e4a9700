"""Runs made up from a law: what a fit is given, without training anything."""

import numpy as np

from waman.planning.allocation import Curve
from waman.planning.law import Law
from waman.planning.scaling import Point, point


def isoflop(
    law: Law, *, seed: int = 0, noise: float = 0.0, num_budgets: int = 6, num_sizes: int = 7, width: float = 4
) -> list[Point]:
    """Budgets from 6e18 to 3e21 operations, as Hoffmann et al. 2022 took them, with sizes about the optimum of each."""
    random = np.random.default_rng(seed)
    points = []
    for flops in np.geomspace(6e18, 3e21, num_budgets):
        for factor in np.geomspace(1 / width, width, num_sizes):
            parameters = float(law.optimum(flops).parameters * factor)
            tokens = float(flops / 6 / parameters)
            loss = law.loss(parameters, tokens) * np.exp(random.normal(0, noise))
            points.append(point(parameters, tokens, float(loss)))
    return points


def curves(law: Law, *, seed: int = 0, noise: float = 0.0, num_sizes: int = 14) -> list[Curve]:
    """Four lengths of each size, 5 to 100 tokens per parameter, that follow the law all along their way."""
    random = np.random.default_rng(seed)
    made = []
    for parameters in np.geomspace(5e7, 1e10, num_sizes):
        for ratio in (5, 15, 40, 100):
            tokens = np.geomspace(0.02, 1, 60) * ratio * parameters
            losses = np.array([law.loss(parameters, one) for one in tokens]) * np.exp(random.normal(0, noise))
            made.append(Curve(float(parameters), 6 * parameters * tokens, tokens, losses))
    return made
