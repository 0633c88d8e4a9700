"""From floating-point operations to tokens per second and days."""

from waman.costing.devices import Device, DType
from waman.costing.memory import Recomputation
from waman.errors import RecipeError
from waman.model.config import ModelConfig
from waman.model.count import flops_per_token

SECONDS_PER_DAY = 86400
SECONDS_PER_HOUR = 3600
FULL_RECOMPUTATION = 4 / 3
"""Operations in place of one: a third of a step is the forward pass, and it is done again."""


def tokens_per_second(
    config: ModelConfig,
    device: Device,
    *,
    utilization: float | None = None,
    context: int | None = None,
    dtype: DType = "bfloat16",
    recomputation: Recomputation = "selective",
) -> float:
    """Tokens that one device trains on per second: utilization * peak / flops_per_token (Chowdhery et al. 2022).

    `utilization` is the share of the peak that the model's own operations reach; absent: the device's, a quarter less
    where every layer is computed again. Raises RecipeError unless it lies between 0 and 1.
    """
    share = device.utilization if utilization is None else utilization
    if not 0 < share <= 1:
        raise RecipeError(f"mfu = {share}; expected a share of the peak, more than 0 and at most 1")
    if utilization is None and recomputation == "full":
        share /= FULL_RECOMPUTATION
    return share * device.peak_flops[dtype] / flops_per_token(config, context or config.context_length)


def days(num_tokens: float, tokens_per_second: float) -> float:
    """Days of training at a speed."""
    return num_tokens / tokens_per_second / SECONDS_PER_DAY


def device_hours(num_tokens: float, tokens_per_second_each: float) -> float:
    """Hours of all devices together."""
    return num_tokens / tokens_per_second_each / SECONDS_PER_HOUR


def days_by_achieved_flops(num_tokens: float, num_parameters: float, *, num_devices: int, flops: float) -> float:
    """8 T P / (n X) in days (Narayanan et al. 2021, equation 4).

    `flops`: floating-point operations per second that each device reaches, those computed a second time included: 8 in
    place of 6 for each weight and token.
    """
    return 8 * num_tokens * num_parameters / (num_devices * flops) / SECONDS_PER_DAY
