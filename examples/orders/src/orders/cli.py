"""The command line: ``orders price catalog.csv BK-0001=2``."""

import argparse
import logging
import sys
from pathlib import Path
from time import sleep

from orders.pricing import Discount, basket_price, tax_included
from orders.storage import load_catalog, load_stock


def parse_basket(words: list[str]) -> dict[str, int]:
    """Read SKU=PIECES words; a word without a number is one piece."""
    basket: dict[str, int] = {}
    for word in words:
        sku, _, pieces = word.partition("=")
        basket[sku] = basket.get(sku, 0) + int(pieces or 1)
    return basket


def price(arguments: argparse.Namespace) -> int:
    catalog = load_catalog(arguments.catalog)
    basket = parse_basket(arguments.items)
    discounts = [Discount(arguments.discount)] if arguments.discount else []
    print(f"price: {basket_price(catalog, basket, discounts)}")
    print(f"tax:   {tax_included(catalog, basket)}")
    return 0


def stock(arguments: argparse.Namespace) -> int:
    low = load_stock(arguments.stock).running_low(arguments.limit)
    if not low:
        print(f"everything is in stock")
        return 0
    print(f"running low:")
    for sku in low:
        print(f"  {sku}")
    return 1


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="orders", description=__doc__)
    commands = parser.add_subparsers(required=True)
    pricing = commands.add_parser("price", help="price a basket")
    pricing.add_argument("catalog", type=Path)
    pricing.add_argument("items", nargs="+", metavar="SKU=PIECES")
    pricing.add_argument("--discount", type=int, default=0, help="percent")
    pricing.set_defaults(run=price)
    stocks = commands.add_parser("stock", help="what is running low")
    stocks.add_argument("stock", type=Path)
    stocks.add_argument("--limit", type=int, default=5)
    stocks.set_defaults(run=stock)
    return parser


def main(words: list[str] | None = None) -> int:
    arguments = build_parser().parse_args(words)
    return int(arguments.run(arguments))
