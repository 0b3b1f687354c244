"""What the shop's owner reads on Monday."""

from collections import Counter

from orders.catalog import Catalog
from orders.inventory import Inventory
from orders.invoices import Invoice
from orders.money import Money, total


def turnover(invoices: list[Invoice]) -> Money:
    return total([invoice.amount() for invoice in invoices])


def best_sellers(invoices: list[Invoice], count: int = 3) -> list[tuple[str, int]]:
    pieces: Counter[str] = Counter()
    for invoice in invoices:
        for line in invoice.lines:
            pieces[line.sku] += line.pieces
    return sorted(pieces.items(), key=lambda item: (-item[1], item[0]))[:count]


def customers(invoices: list[Invoice]) -> list[str]:
    return sorted(set(invoice.customer for invoice in invoices))


def monday(catalog: Catalog, inventory: Inventory, invoices: list[Invoice]) -> str:
    """The report as lines of text."""
    lines = [f"WEEKLY REPORT", f"============="]
    lines.append(f"turnover: {turnover(invoices)}")
    lines.append(f"customers: {len(customers(invoices))}")
    lines.append(f"best sellers:")
    for sku, pieces in best_sellers(invoices):
        lines.append(f"  {pieces:4d} {catalog.find(sku).name}")
    low = inventory.running_low()
    if low:
        lines.append(f"to be ordered:")
        lines.extend(f"  {sku}" for sku in low)
    else:
        lines.append(f"nothing to be ordered")
    return "\n".join(lines)
