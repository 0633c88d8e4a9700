"""The table of optimal sizes that Hoffmann et al. 2022 print, reproduced, and what in it is misprinted."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Row:
    """The optimum for a model of a size, as printed."""

    parameters: float
    flops: float
    """by approach 1 (table 3)"""
    tokens: tuple[float, float, float]
    """by approaches 1, 2 and 3 (table 3 and table A3)"""


TABLE: Sequence[Row] = (
    Row(4e8, 1.92e19, (8.0e9, 7.7e9, 9.2e9)),
    Row(1e9, 1.21e20, (20.2e9, 20.0e9, 27.1e9)),
    Row(1e10, 1.23e22, (205.1e9, 219.5e9, 410.1e9)),
    Row(6.7e10, 5.76e23, (1.5e12, 1.7e12, 4.1e12)),
    Row(1.75e11, 3.85e24, (3.7e12, 4.3e12, 12.0e12)),
    Row(2.8e11, 9.90e24, (5.9e12, 7.1e12, 20.1e12)),
    Row(5.2e11, 3.43e25, (11.0e12, 13.4e12, 43.5e12)),
    Row(1e12, 1.27e26, (21.2e12, 26.5e12, 94.1e12)),
    Row(1e13, 1.30e28, (216.2e12, 292.0e12, 1425.5e12)),
)

MISPRINTS: Mapping[tuple[float, int], str] = MappingProxyType(
    {
        (6.7e10, 1): "1.5T; 5.76e23 FLOPs / (6 * 67e9) are 1.43T, the column's line gives 1.4T, and 1.5T at 70B",
        (6.7e10, 2): "1.7T; the column's line gives 1.6T, and 1.7T at 70B",
        (6.7e10, 3): "4.1T; the column's line gives 3.9T, and 4.1T at 70B",
        (2.8e11, 3): "20.1T; the column's line gives 20.9T",
    }
)
"""Tokens that do not fit their own column, by parameters and approach: what is printed; what the others say."""
MISPRINTED_FLOPS = "table A3, approach 3, 175B: 1.26e24 FLOPs; 6 * 175e9 * 12.0e12 = 1.26e25"


@dataclass(frozen=True)
class Column:
    """D = scale * N^slope, the line that a column's rows lie on."""

    scale: float
    slope: float

    @property
    def parameters_exponent(self) -> float:
        """a in N ~ C^a: D ~ N^slope and C = 6 N D make N ~ C^(1 / (1 + slope))."""
        return 1 / (1 + self.slope)

    def tokens(self, parameters: float) -> float:
        return float(self.scale * parameters**self.slope)


def column(approach: int) -> Column:
    """The least-squares line through an approach's rows, in logarithms, the misprinted ones left out."""
    rows = [row for row in TABLE if (row.parameters, approach) not in MISPRINTS]
    sizes = [math.log(row.parameters) for row in rows]
    fit = statistics.linear_regression(sizes, [math.log(row.tokens[approach - 1]) for row in rows])
    return Column(math.exp(fit.intercept), fit.slope)
