"""Amounts of money in whole cents."""

from dataclasses import dataclass
from typing import List, Optional, Union


class CurrencyMismatch(ValueError):
    """Two amounts of different currencies met."""


@dataclass(frozen=True, order=True)
class Money:
    cents: int
    currency: str = "EUR"

    def __add__(self, other: "Money") -> "Money":
        self._same_currency(other)
        return Money(self.cents + other.cents, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        self._same_currency(other)
        return Money(self.cents - other.cents, self.currency)

    def times(self, factor: Union[int, float]) -> "Money":
        """Multiply and round half up, as tills do."""
        exact = self.cents * factor
        return Money(int(exact + 0.5) if exact >= 0 else -int(-exact + 0.5), self.currency)

    def __str__(self) -> str:
        sign = "-" if self.cents < 0 else ""
        return "{}{}.{:02d} {}".format(sign, abs(self.cents) // 100, abs(self.cents) % 100, self.currency)

    def _same_currency(self, other: "Money") -> None:
        if self.currency != other.currency:
            raise CurrencyMismatch("{} is not {}".format(other.currency, self.currency))


def parse(text: str, currency: Optional[str] = None) -> Money:
    """Read "12.50" or "12.50 EUR"."""
    number, _, unit = text.strip().partition(" ")
    whole, _, rest = number.partition(".")
    cents = abs(int(whole)) * 100 + int((rest + "00")[:2])
    return Money(-cents if number.startswith("-") else cents, unit or currency or "EUR")


def total(amounts: List[Money], currency: str = "EUR") -> Money:
    result = Money(0, currency)
    for amount in amounts:
        result = result + amount
    return result
