"""From device-hours to money, energy and carbon dioxide: LLaMA's formulas (Touvron et al. 2023, section 6)."""

from dataclasses import dataclass

from waman.errors import RecipeError

PUE = 1.1
"""Power usage effectiveness: what a data centre draws, over what its devices draw (Touvron et al. 2023)."""
CARBON_INTENSITY = 0.385
"""Tonnes of CO2 equivalent per MWh: the average of the United States (Touvron et al. 2023)."""


@dataclass(frozen=True)
class Price:
    """What a device costs for an hour."""

    per_hour: float
    currency: str = "USD"

    def of(self, device_hours: float) -> float:
        """Money for so many hours of one device."""
        return self.per_hour * device_hours


def megawatt_hours(device_hours: float, watts: float, *, pue: float = PUE) -> float:
    """Energy: hours times watts times power usage effectiveness."""
    return device_hours * watts * pue / 1e6


def tonnes_co2(megawatt_hours: float, *, intensity: float = CARBON_INTENSITY) -> float:
    """Carbon dioxide equivalent of an energy, intensity in tonnes per MWh."""
    return megawatt_hours * intensity


def price_in(
    currency: str, *, per_hour: float | None, listed: float | None, exchange_rate: float | None
) -> Price | None:
    """The user's price, in their currency, or the listed one in dollars, exchanged where a rate is given.

    Raises RecipeError for a listed price in another currency without a rate.
    """
    if per_hour is not None:
        return Price(per_hour, currency)
    if listed is None:
        return None
    if currency == "USD":
        return Price(listed)
    if exchange_rate is None:
        raise RecipeError(
            f"currency = {currency}, but the table's price is {listed} USD an hour; give --price in {currency}, or "
            f"--exchange-rate: {currency} for one USD"
        )
    return Price(listed * exchange_rate, currency)
