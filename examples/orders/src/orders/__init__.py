"""Prices, stock and invoices of a small shop."""

from orders.catalog import Catalog, Product
from orders.money import Money

__version__ = "1.4.0"
