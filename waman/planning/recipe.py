"""What `waman plan` is told: of a training run to cost, or of a size to choose. Torch-free."""

from dataclasses import dataclass
from typing import Literal

from waman.costing.memory import Recomputation, ZeroStage
from waman.costing.money import CARBON_INTENSITY, PUE
from waman.errors import RecipeError


@dataclass(frozen=True)
class PlanRecipe:
    """Reckons what a training run needs: memory, time, money, energy."""

    num_tokens: int | None = None
    """tokens to train on; absent: those of the recipe, else 20 for each parameter (Hoffmann et al. 2022)"""
    gpu: str | None = None
    """a device of the table; absent: this machine, measured"""
    num_gpus: int | None = None
    """devices; absent: as few as the model fits on"""
    mfu: float | None = None
    """share of the peak that the model's own operations reach; absent: the table's"""
    tokens_per_second: float | None = None
    """of one device, where it is known; in place of mfu"""
    precision: Literal["bfloat16", "tf32", "float32"] = "bfloat16"
    """in which numbers matrices are multiplied, on a device of the table"""
    context_length: int | None = None
    """tokens per sequence; absent: the recipe's or the model's"""
    micro_batch_sequences: int = 1
    """sequences that go through the model at once, on a device of the table"""
    recomputation: Recomputation | None = None
    """what the backward pass computes again: nothing, attention, every layer; absent: as a recipe of pretraining says,
    else attention"""
    zero_stage: ZeroStage = 1
    """what the data axis shares out: nothing, the optimizer, gradients too, weights too"""
    watts: float | None = None
    """what a device draws; absent: the table's"""
    price_per_hour: float | None = None
    """of a device, in the currency; absent: the table's, in US dollars"""
    currency: str = "USD"
    """what money is given in"""
    exchange_rate: float | None = None
    """units of the currency for one US dollar, for the table's prices"""
    pue: float = PUE
    """energy drawn in all, over that of the devices"""
    carbon_intensity: float = CARBON_INTENSITY
    """tonnes of CO2 equivalent per MWh"""
    max_days: float | None = None
    """refuse a plan that takes longer"""
    budget: float | None = None
    """refuse a plan that costs more, in the currency"""

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise RecipeError(f"{name} = {value}; expected more than 0")
        if self.mfu is not None and self.mfu > 1:
            raise RecipeError(f"mfu = {self.mfu}; expected a share of the peak, at most 1")
        if self.pue < 1:
            raise RecipeError(f"pue = {self.pue}; expected 1 or more: what is drawn in all, over what devices draw")
        if self.mfu is not None and self.tokens_per_second is not None:
            raise RecipeError("mfu and tokens_per_second both say how fast a device is; leave one out")
        named = [name for name in _OF_A_GPU if getattr(self, name) != type(self).__dataclass_fields__[name].default]
        if self.gpu is None and named:
            raise RecipeError(
                f"{', '.join(named)}: for a GPU of the table, and there is no gpu; without one this machine is measured"
            )


_POSITIVE = (
    *("num_tokens", "num_gpus", "mfu", "tokens_per_second", "context_length", "micro_batch_sequences", "watts"),
    *("price_per_hour", "exchange_rate", "pue", "carbon_intensity", "max_days", "budget"),
)
_OF_A_GPU = (*("num_gpus", "mfu", "tokens_per_second", "precision", "micro_batch_sequences", "zero_stage"),)


@dataclass(frozen=True)
class ServingRecipe:
    """Finds the model that costs least to train and to serve: for a loss, or as good a one as a budget allows."""

    loss: float | None = None
    """nats per token to reach"""
    served_tokens: float = 0.0
    """tokens that the model will read and write in its life"""
    flops: float | None = None
    """floating-point operations for training and serving together"""
    budget: float | None = None
    """money for both, in the currency"""
    law: str = "chinchilla"
    """a published law; with runs, theirs is taken"""
    gpu: str | None = None
    """a device of the table, whose price an operation is paid at; absent: costs are counted in operations"""
    mfu: float | None = None
    """share of the peak that training reaches; absent: the table's"""
    serving_mfu: float | None = None
    """share of the peak that serving reaches, usually less; absent: that of training"""
    precision: Literal["bfloat16", "tf32", "float32"] = "bfloat16"
    """in which numbers matrices are multiplied"""
    price_per_hour: float | None = None
    """of a device, in the currency; absent: the table's, in US dollars"""
    currency: str = "USD"
    """what money is given in"""
    exchange_rate: float | None = None
    """units of the currency for one US dollar, for the table's prices"""

    def __post_init__(self) -> None:
        if self.loss is None and self.flops is None and self.budget is None:
            raise RecipeError("no loss to reach and nothing to spend: give --loss, --flops or --budget")
        if self.flops is not None and self.budget is not None:
            raise RecipeError("flops and budget both say what may be spent; leave one out")
        if self.gpu is None:
            for name in ("budget", "mfu", "serving_mfu", "price_per_hour", "exchange_rate"):
                if getattr(self, name) is not None:
                    raise RecipeError(f"{name} = {getattr(self, name):g}, but no --gpu NAME says what an hour computes")


@dataclass(frozen=True)
class RepetitionRecipe:
    """Finds the size and the epochs for so many unique tokens, and what a share of a second language does."""

    unique_tokens: float
    """tokens there are, each counted once"""
    flops: float | None = None
    """floating-point operations of training; absent: as many as are worth it"""
    law: str = "muennighoff"
    """a published law; with runs, theirs is taken"""
    shares: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2, 0.5)
    """shares of the tokens that are of a second language"""
    transfers: tuple[float, ...] = (-0.16, 0.0, 0.25, 0.5)
    """what a token of it is worth, in new ones of the first (docs/planning.md says where -0.16 is from)"""


@dataclass(frozen=True)
class LawRecipe:
    """Fits a scaling law to runs and says what it expects beyond them."""

    times: tuple[float, ...] = (1.0, 10.0, 100.0)
    """budgets to forecast, in the operations of the largest run"""
    num_resamples: int = 200
    """resamples of the runs behind every interval"""
    seed: int = 0
    """draws them"""
