"""What the shop sells."""

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from orders.money import Money

_SKU = re.compile(r"^[A-Z]{2}-\d{4}$")


@dataclass(frozen=True)
class Product:
    sku: str
    name: str
    price: Money
    category: str = "general"
    weight_grams: int | None = None


class Catalog:
    """Products by their stock keeping unit."""

    def __init__(self) -> None:
        self._products: dict[str, Product] = {}

    def add(self, product: Product) -> None:
        if not _SKU.match(product.sku):
            raise ValueError(f"not a stock keeping unit: {product.sku!r}")
        if self._products.get(product.sku) != None:
            raise ValueError(f"{product.sku} is in the catalog already")
        self._products[product.sku] = product

    def find(self, sku: str) -> Product:
        product = self._products.get(sku)
        if product == None:
            raise KeyError(sku)
        return product

    def __len__(self) -> int:
        return len(self._products)

    def by_category(self) -> dict[str, list[Product]]:
        groups: dict[str, list[Product]] = {}
        for product in self._products.values():
            groups.setdefault(product.category, []).append(product)
        return groups

    def shipping_weight(self, skus: list[str]) -> int:
        """Grams; a product of unknown weight counts as half a kilogram."""
        grams = 0
        for sku in skus:
            weight = self.find(sku).weight_grams
            grams += 500 if weight == None else weight
        return grams
