"""L-BFGS on many small problems at once, each with its own start and its own curvature (Liu and Nocedal 1989).

scipy's takes one problem at a time, and a call for five variables costs more than the problem; on several threads its
linear algebra waits longer than it computes. All arrays here are (problems, variables) or (problems,).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Objective = Callable[[Floats, NDArray[np.int64]], tuple[Floats, Floats]]
"""From (some problems, variables) and which problems they are to their values and gradients."""

MEMORY = 10
_SUFFICIENT, _HALVINGS = 1e-4, 25
_LONGEST = 10.0
"""Of a step: variables here are logarithms and exponents, which mean nothing further away."""
_FLAT = 1e-100


def minimise(
    objective: Objective, starts: Floats, *, problems: NDArray[np.int64] | None = None, tolerance: float = 1e-8
) -> tuple[Floats, Floats]:
    """Where each problem is least, from its start, and how low it is there.

    Each goes 50 steps, is begun again with its memory of the curvature emptied, and ends where that gains less than a
    share `tolerance` of its value.
    """
    problems = np.arange(len(starts)) if problems is None else problems
    places, values = starts.copy(), objective(starts, problems)[0]
    going = np.arange(len(starts))
    for _ in range(60):
        before = values[going]
        places[going], values[going] = descend(objective, places[going], problems=problems[going], steps=50)
        going = going[before - values[going] > tolerance * np.maximum(values[going], 1.0)]
        if len(going) == 0:
            break
    return places, values


def descend(objective: Objective, starts: Floats, *, problems: NDArray[np.int64], steps: int) -> tuple[Floats, Floats]:
    """So many steps of L-BFGS downhill; a problem that finds no lower place stays where it is."""
    places = starts
    values, gradients = objective(places, problems)
    moves: list[Floats] = []
    turns: list[Floats] = []
    for _ in range(steps):
        directions = _directions(gradients, moves, turns)
        slopes = (directions * gradients).sum(axis=1)
        uphill = slopes >= 0
        directions[uphill], slopes[uphill] = -gradients[uphill], -(gradients[uphill] ** 2).sum(axis=1)
        # without curvature a step's length is anyone's guess: a tenth
        lengths = np.sqrt((directions**2).sum(axis=1))
        scales = np.minimum((_LONGEST if moves else 0.1) / np.maximum(lengths, _FLAT), 1.0)
        directions, slopes = directions * scales[:, None], slopes * scales
        lower, low_values, low_gradients = _search(objective, problems, places, values, gradients, directions, slopes)
        moves, turns = [*moves, lower - places][-MEMORY:], [*turns, low_gradients - gradients][-MEMORY:]
        if np.array_equal(lower, places):
            break
        places, values, gradients = lower, low_values, low_gradients
    return places, values


def _directions(gradients: Floats, moves: list[Floats], turns: list[Floats]) -> Floats:
    """The two loops of L-BFGS. A pair without positive curvature, as of a problem that stayed, counts nothing."""
    directions = -gradients
    scales = np.ones(len(gradients))
    kept = []
    for move, turn in zip(moves, turns, strict=True):
        curvature, square = (move * turn).sum(axis=1), (turn**2).sum(axis=1)
        good = (square > _FLAT) & (curvature > 1e-12 * np.sqrt(square * (move**2).sum(axis=1)))
        weights = np.where(good, 1 / np.where(good, curvature, 1.0), 0.0)
        scales = np.where(good, curvature / np.where(good, square, 1.0), scales)
        kept.append((move, turn, weights))
    shares = []
    for move, turn, weights in reversed(kept):
        share = weights * (move * directions).sum(axis=1)
        directions = directions - share[:, None] * turn
        shares.append(share)
    directions = directions * scales[:, None]
    for (move, turn, weights), share in zip(kept, reversed(shares), strict=True):
        directions = directions + (share - weights * (turn * directions).sum(axis=1))[:, None] * move
    return directions


def _search(
    objective: Objective,
    problems: NDArray[np.int64],
    places: Floats,
    values: Floats,
    gradients: Floats,
    directions: Floats,
    slopes: Floats,
) -> tuple[Floats, Floats, Floats]:
    """Halves each problem's step until it descends enough (Armijo); one that never does stays."""
    places, values, gradients, starts = places.copy(), values.copy(), gradients.copy(), places
    floors = values.copy()
    waiting, length = np.arange(len(places)), 1.0
    for _ in range(_HALVINGS):
        tried = starts[waiting] + length * directions[waiting]
        found, slope = objective(tried, problems[waiting])
        low = found <= floors[waiting] + _SUFFICIENT * length * slopes[waiting]
        accepted = waiting[low]
        places[accepted], values[accepted], gradients[accepted] = tried[low], found[low], slope[low]
        waiting, length = waiting[~low], length / 2
        if len(waiting) == 0:
            break
    return places, values, gradients
