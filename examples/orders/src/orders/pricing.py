"""From the prices of a catalog to the price of a basket."""

from dataclasses import dataclass

from orders.catalog import Catalog
from orders.money import Money, total

REDUCED = {"books", "food"}
STANDARD_RATE = 0.19
REDUCED_RATE = 0.07


@dataclass(frozen=True)
class Discount:
    percent: int
    category: str | None = None
    from_pieces: int = 1

    def fits(self, category: str, pieces: int) -> bool:
        right_category = self.category == None or self.category == category
        return right_category and pieces >= self.from_pieces


def line_price(catalog: Catalog, sku: str, pieces: int, discounts: list[Discount] = []) -> Money:
    """The price of some pieces of one product; the best discount counts, they do not add up."""
    product = catalog.find(sku)
    fitting = [each.percent for each in discounts if each.fits(product.category, pieces)]
    best = max(fitting, default=0)
    return product.price.times(pieces).times((100 - best) / 100)


def basket_price(catalog: Catalog, basket: dict[str, int], discounts: list[Discount] = []) -> Money:
    return total([line_price(catalog, sku, pieces, discounts) for sku, pieces in basket.items()])


def tax_rate(category: str) -> float:
    if category in REDUCED:
        return REDUCED_RATE
    else:
        return STANDARD_RATE


def tax_included(catalog: Catalog, basket: dict[str, int]) -> Money:
    """The tax that is contained in the prices of a basket."""
    parts = []
    for sku, pieces in basket.items():
        price = line_price(catalog, sku, pieces)
        rate = tax_rate(catalog.find(sku).category)
        parts.append(price - price.times(1 / (1 + rate)))
    return total(parts)


def categories(catalog: Catalog, basket: dict[str, int]) -> list[str]:
    return sorted(set([catalog.find(sku).category for sku in basket]))


def pieces_by_category(catalog: Catalog, basket: dict[str, int]) -> dict[str, int]:
    counts = dict([(name, 0) for name in categories(catalog, basket)])
    for sku, pieces in basket.items():
        counts[catalog.find(sku).category] += pieces
    return counts
