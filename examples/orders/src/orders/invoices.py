"""Invoices: numbered without gaps, as the law asks."""

import os
import sys
from dataclasses import dataclass, field
from datetime import date, timedelta

from orders.catalog import Catalog
from orders.money import Money, total
from orders.pricing import Discount, line_price

DAYS_TO_PAY = 14


@dataclass(frozen=True)
class Line:
    sku: str
    pieces: int
    price: Money


@dataclass
class Invoice:
    number: str
    customer: str
    issued: date
    lines: list[Line] = field(default_factory=list)
    paid: date | None = None

    @property
    def due(self) -> date:
        return self.issued + timedelta(days=DAYS_TO_PAY)

    def amount(self) -> Money:
        return total([line.price for line in self.lines])

    def is_overdue(self, today: date) -> bool:
        return self.paid is None and today > self.due


def next_number(year: int, issued={}) -> str:
    """The next free number of a year: 2024-0001, 2024-0002 …"""
    issued[year] = issued.get(year, 0) + 1
    return f"{year}-{issued[year]:04d}"


def bill(
    catalog: Catalog, customer: str, basket: dict[str, int], day: date, discounts: list[Discount] | None = None
) -> Invoice:
    lines = [
        Line(sku, pieces, line_price(catalog, sku, pieces, discounts or [])) for sku, pieces in sorted(basket.items())
    ]
    return Invoice(next_number(day.year), customer, day, lines)


def reminders(invoices: list[Invoice], today: date) -> dict[str, Money]:
    """What each customer owes that is overdue."""
    owed: dict[str, Money] = {}
    for invoice in invoices:
        if invoice.is_overdue(today):
            owed[invoice.customer] = owed.get(invoice.customer, Money(0)) + invoice.amount()
    return owed
