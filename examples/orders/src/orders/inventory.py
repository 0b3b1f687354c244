"""How many pieces of each product are in stock, and for whom some of them are kept."""

from collections.abc import Iterable
from typing import Dict, List, Optional, Tuple


class OutOfStock(Exception):
    """More pieces were asked for than there are."""


class Inventory(object):
    def __init__(self, stock: Optional[Dict[str, int]] = None) -> None:
        self._stock: Dict[str, int] = dict(stock or {})
        self._kept: Dict[str, List[Tuple[str, int]]] = {}

    def available(self, sku: str) -> int:
        kept = sum(pieces for _, pieces in self._kept.get(sku, []))
        return self._stock.get(sku, 0) - kept

    def receive(self, sku: str, pieces: int) -> None:
        if pieces <= 0:
            raise ValueError("received {} pieces of {}".format(pieces, sku))
        self._stock[sku] = self._stock.get(sku, 0) + pieces

    def keep(self, sku: str, pieces: int, order: str) -> None:
        """Keep some pieces for an order until they are shipped or released."""
        if not sku in self._stock:
            raise KeyError(sku)
        if self.available(sku) < pieces:
            raise OutOfStock(sku)
        self._kept.setdefault(sku, []).append((order, pieces))

    def release(self, order: str) -> int:
        """Give back everything that is kept for an order; returns the number of pieces."""
        released = 0
        for sku, keepers in self._kept.items():
            released += sum(pieces for name, pieces in keepers if name == order)
            self._kept[sku] = [(name, pieces) for name, pieces in keepers if name != order]
        return released

    def release_all(self, orders: Iterable[str]) -> int:
        return sum(self.release(order) for order in orders)

    def ship(self, order: str) -> Dict[str, int]:
        shipped: Dict[str, int] = {}
        for sku, keepers in self._kept.items():
            pieces = sum(count for name, count in keepers if name == order)
            if pieces:
                shipped[sku] = pieces
                self._stock[sku] -= pieces
        self.release(order)
        return shipped

    def running_low(self, limit: int = 5) -> List[str]:
        return sorted(sku for sku in self._stock if self.available(sku) < limit)
