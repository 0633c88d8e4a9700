"""What `waman plan` answers to a question of size: its figures, as data and for the eye."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from waman.planning.allocation import Allocation
from waman.planning.budget import Choice, Prices, Standing
from waman.planning.drawing import draw
from waman.planning.law import Law, Size, amount
from waman.planning.repetition import Epochs, Mixture
from waman.planning.scaling import Interval

Row = tuple[str, str]


@dataclass(frozen=True)
class LawUsed:
    """The law that an answer rests on."""

    name: str
    law: Law
    source: str
    intervals: dict[str, Interval] | None = None
    """of its constants, where it was fitted to runs"""

    def to_table(self) -> dict[str, Any]:
        table = {"name": self.name, **asdict(self.law), "source": self.source}
        if self.intervals is not None:
            table["intervals"] = {name: one.to_json() for name, one in self.intervals.items()}
        return table

    def rows(self) -> list[Row]:
        law = self.law
        formula = f"L = {law.E:.4g} + {law.A:.4g} / N^{law.alpha:.4g} + {law.B:.4g} / D^{law.beta:.4g}"
        rows = [("law", f"{self.name}: {formula}"), ("", self.source)]
        if self.intervals is not None:
            rows += [(f"  {name}", _within(one, ".4g")) for name, one in self.intervals.items()]
        return rows


@dataclass(frozen=True)
class ServingAnswer:
    """The model that costs least to train and to serve."""

    law: LawUsed
    prices: Prices
    chosen: Choice
    intervals: tuple[Interval, Interval] | None
    """of its parameters and tokens, where the law was fitted to runs"""
    without_serving: Choice
    """Chinchilla's optimum of the same loss, and what it comes to with the serving"""
    curve: tuple[Choice, ...]
    standings: tuple[Standing, ...]
    notes: tuple[str, ...]

    def to_table(self) -> dict[str, Any]:
        """Plain data, what `--json` prints."""
        chosen = _choice(self.chosen)
        if self.intervals is not None:
            names = ("parameters", "tokens")
            chosen["intervals"] = {name: one.to_json() for name, one in zip(names, self.intervals, strict=True)}
        return {
            "law": self.law.to_table(),
            "prices": asdict(self.prices),
            **chosen,
            "without_serving": _choice(self.without_serving),
            "curve": [_choice(one) for one in self.curve],
            "standings": [
                {
                    "model": one.name,
                    **_choice(one.choice),
                    "cheapest_for_served_tokens": one.cheapest_for,
                    "least_cost_of_its_loss": one.least.cost,
                }
                for one in self.standings
            ],
            "notes": list(self.notes),
        }

    def render(self) -> str:
        """For people."""
        chosen, unit, plain = self.chosen, self.prices.currency, self.without_serving
        parts = f"{_money(chosen.training_cost, unit)} to train, {_money(chosen.serving_cost, unit)} to serve"
        saved = f"{_money(plain.cost, unit)}, {plain.cost / chosen.cost - 1:+.1%}"
        rows = [
            *self.law.rows(),
            ("served", f"{amount(chosen.served)} tokens"),
            ("model", f"{amount(chosen.size.parameters)} parameters{_between(self.intervals, 0)}"),
            ("tokens", f"{amount(chosen.size.tokens)}{_between(self.intervals, 1)}, {_per_parameter(chosen.size)}"),
            ("loss", f"{chosen.loss:.4g} nats per token, predicted"),
            ("cost", f"{_money(chosen.cost, unit)}: {parts}"),
            ("", f"Chinchilla's optimum of this loss, {_size(plain.size)}, comes to {saved}"),
            *_curve_rows(self.curve, unit),
            *(("LLaMA" if not place else "", _stands(one)) for place, one in enumerate(self.standings)),
            *(("note", note) for note in self.notes),
        ]
        return _page(rows)

    def to_svg(self) -> str:
        """The curve as a drawing: cost over size where a loss is asked for, else loss over size."""
        sizes = [one.size.parameters for one in self.curve]
        costs, losses = [one.cost for one in self.curve], [one.loss for one in self.curve]
        of_cost = max(costs) / min(costs) > 1.0001
        values, chosen = (costs, self.chosen.cost) if of_cost else (losses, self.chosen.loss)
        label = f"cost in all, {self.prices.currency}" if of_cost else "predicted loss, nats per token"
        mark = (self.chosen.size.parameters, chosen, f"{amount(self.chosen.size.parameters)} parameters")
        return draw(sizes, values, mark, x_label="parameters", y_label=label, y_is_logarithmic=of_cost)


@dataclass(frozen=True)
class RepetitionAnswer:
    """What so many unique tokens allow."""

    law: LawUsed
    unique: float
    frontier: tuple[Epochs, ...]
    chosen: Epochs
    lowest_loss: float
    """by endless epochs of an endless model"""
    worth: float
    """what a token read once more is worth, in new ones"""
    break_even: float
    """what a token of a second language must be worth for a small share of it to lower the loss"""
    mixtures: tuple[Mixture, ...]
    notes: tuple[str, ...]

    def to_table(self) -> dict[str, Any]:
        """Plain data, what `--json` prints."""
        return {
            "law": self.law.to_table(),
            "unique_tokens": self.unique,
            **_epochs(self.chosen),
            "lowest_loss": self.lowest_loss,
            "worth_of_a_repetition": self.worth,
            "break_even_transfer": self.break_even,
            "frontier": [_epochs(one) for one in self.frontier],
            "second_language": [asdict(one) for one in self.mixtures],
            "notes": list(self.notes),
        }

    def render(self) -> str:
        """For people."""
        chosen = self.chosen
        rows = [
            *self.law.rows(),
            ("unique", f"{amount(self.unique)} tokens"),
            ("model", f"{amount(chosen.size.parameters)} parameters"),
            ("tokens", f"{amount(chosen.size.tokens)}: {chosen.epochs:.3g} epochs, {_per_parameter(chosen.size)}"),
            ("FLOPs", f"{chosen.size.training_flops:.3g}"),
            ("loss", f"{chosen.loss:.4g} nats per token, predicted; {self.lowest_loss:.4g} by endless epochs"),
            ("by budget", f"{'FLOPs':>10} {'model':>8} {'epochs':>7} {'loss':>7}"),
            *(("", _frontier_row(one)) for one in self.frontier),
            ("repetition", f"a token read once more is worth {self.worth:.2g} of a new one; one of a second language"),
            ("", f"lowers the loss where it is worth more than {self.break_even:.2g}"),
            *self._mixture_rows(),
            *(("note", note) for note in self.notes),
        ]
        return _page(rows)

    def _mixture_rows(self) -> list[Row]:
        if not self.mixtures:
            return []
        transfers = sorted({one.transfer for one in self.mixtures})
        head = f"{'share':>6} {'epochs':>7}  loss, where a token of it is worth " + " ".join(
            f"{one:>8.2g}" for one in transfers
        )
        rows: list[Row] = [("2nd language", head)]
        for share in sorted({one.share for one in self.mixtures}):
            these = {one.transfer: one for one in self.mixtures if one.share == share}
            epochs = next(iter(these.values())).epochs
            losses = " ".join(f"{these[one].loss:>8.4g}" if one in these else f"{'':>8}" for one in transfers)
            rows.append(("", f"{share:>6.0%} {epochs:>7.3g}  {'':34} {losses}"))
        return rows


@dataclass(frozen=True)
class Forecast:
    """The optimum of a budget by the fitted law."""

    flops: float
    times: float
    """the operations of the largest run"""
    parameters: Interval
    tokens: Interval
    loss: Interval


@dataclass(frozen=True)
class LawAnswer:
    """The law of one's own runs."""

    law: LawUsed
    num_runs: int
    scatter: float
    """root mean square of how far runs lie from the law, as a share of their loss"""
    flops_over_6nd: tuple[float, float]
    """least and most that the counted operations of a run are over 6 N D"""
    allocations: tuple[Allocation, ...]
    refused: tuple[str, ...]
    """why an approach could not be taken"""
    forecasts: tuple[Forecast, ...]

    def to_table(self) -> dict[str, Any]:
        """Plain data, what `--json` prints."""
        return {
            "law": self.law.to_table(),
            "runs": self.num_runs,
            "scatter": self.scatter,
            "flops_over_6nd": list(self.flops_over_6nd),
            "approaches": [
                {
                    "approach": one.approach,
                    "parameters_exponent": one.parameters.exponent.to_json(),
                    "tokens_exponent": one.tokens.exponent.to_json(),
                    "optima": [asdict(optimum) for optimum in one.optima],
                    "left_out": list(one.left_out),
                }
                for one in self.allocations
            ],
            "refused": list(self.refused),
            "forecasts": [
                {
                    "flops": one.flops,
                    "times_the_largest_run": one.times,
                    "parameters": one.parameters.to_json(),
                    "tokens": one.tokens.to_json(),
                    "loss": one.loss.to_json(),
                }
                for one in self.forecasts
            ],
        }

    def render(self) -> str:
        """For people."""
        low, high = self.flops_over_6nd
        over = f"their FLOPs are {low:.3g} to {high:.3g} times 6 N D"
        rows = [
            *self.law.rows(),
            ("runs", f"{self.num_runs}, {self.scatter:.2%} about the law; {over}"),
            *((f"approach {one.approach}", _exponents(one)) for one in self.allocations),
            *(("", why) for why in self.refused),
            *(("optimum" if not place else "", _forecast(one)) for place, one in enumerate(self.forecasts)),
            ("note", "intervals are 95%, given that the form of the law holds so far beyond the runs"),
        ]
        return _page(rows)


def _frontier_row(one: Epochs) -> str:
    size = one.size
    return f"{size.training_flops:>10.2g} {amount(size.parameters):>8} {one.epochs:>7.3g} {one.loss:>7.4g}"


def _exponents(one: Allocation) -> str:
    return f"N ~ C^{_within(one.parameters.exponent, '.3f')}, D ~ C^{_within(one.tokens.exponent, '.3f')}"


def _forecast(one: Forecast) -> str:
    size = f"{_amounts(one.parameters)} parameters, {_amounts(one.tokens)} tokens"
    return f"{one.flops:.2g} FLOPs, {one.times:.3g} times the largest run: {size}, loss {_within(one.loss, '.4g')}"


def _page(rows: Sequence[Row]) -> str:
    return "".join(f"{name:<14}{text}\n" for name, text in rows)


def _choice(choice: Choice) -> dict[str, Any]:
    return {
        "parameters": choice.size.parameters,
        "tokens": choice.size.tokens,
        "loss": choice.loss,
        "served_tokens": choice.served,
        "training_flops": choice.size.training_flops,
        "training_cost": choice.training_cost,
        "serving_cost": choice.serving_cost,
        "cost": choice.cost,
    }


def _epochs(one: Epochs) -> dict[str, Any]:
    size = one.size
    return {
        "parameters": size.parameters,
        "tokens": size.tokens,
        "epochs": one.epochs,
        "training_flops": size.training_flops,
        "loss": one.loss,
    }


def _curve_rows(curve: Sequence[Choice], unit: str) -> list[Row]:
    rows: list[Row] = [("by size", f"{'model':>8} {'tokens':>8} {'loss':>7} {'cost':>16}")]
    for one in curve[:: max(len(curve) // 8, 1)]:
        size = one.size
        cost = _money(one.cost, unit)
        rows.append(("", f"{amount(size.parameters):>8} {amount(size.tokens):>8} {one.loss:>7.4g} {cost:>16}"))
    return rows


def _stands(one: Standing) -> str:
    text = (
        f"{one.name}: loss {one.choice.loss:.4g}, {one.choice.cost / one.least.cost - 1:+.1%} over the cheapest of it; "
    )
    if one.cheapest_for is None:
        return text + "larger than Chinchilla's optimum"
    return text + f"the cheapest for {amount(one.cheapest_for)} tokens served"


def _size(size: Size) -> str:
    return f"{amount(size.parameters)} on {amount(size.tokens)} tokens"


def _per_parameter(size: Size) -> str:
    return f"{size.tokens / size.parameters:.3g} a parameter"


def _between(intervals: tuple[Interval, Interval] | None, place: int) -> str:
    if intervals is None:
        return ""
    return f" [{amount(intervals[place].low)} to {amount(intervals[place].high)}]"


def _amounts(one: Interval) -> str:
    return f"{amount(one.value)} [{amount(one.low)} to {amount(one.high)}]"


def _within(one: Interval, form: str) -> str:
    return f"{one.value:{form}} [{one.low:{form}} to {one.high:{form}}]"


def _money(value: float, unit: str) -> str:
    if unit == "FLOPs":
        return f"{value:.3g} {unit}"
    digits = 0 if value >= 100 else 2 - math.floor(math.log10(value)) if value > 0 else 0
    return f"{value:,.{digits}f} {unit}"
