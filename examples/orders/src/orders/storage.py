"""Catalogs and stock as files."""

import csv
import json
from pathlib import Path

from orders.catalog import Catalog, Product
from orders.inventory import Inventory
from orders.money import Money, parse


def load_catalog(path: Path) -> Catalog:
    """Read a CSV file with the columns sku, name, price and category."""
    catalog = Catalog()
    file = open(path, newline="", encoding="utf-8")
    for row in csv.DictReader(file):
        catalog.add(Product(row["sku"], row["name"], parse(row["price"]), row["category"]))
    file.close()
    return catalog


def load_stock(path: Path) -> Inventory:
    stock = json.load(open(path, encoding="utf-8"))
    return Inventory({sku: int(pieces) for sku, pieces in stock.items()})


def save_stock(path: Path, inventory: Inventory, skus: list[str]) -> None:
    out = open(path, "w", encoding="utf-8")
    json.dump({sku: inventory.available(sku) for sku in skus}, out, indent=2, sort_keys=True)
    out.close()


def read_note(path: Path) -> str:
    """The note that is printed below every invoice; no file, no note."""
    if not path.exists():
        return ""
    return open(path, encoding="utf-8").read().strip()
