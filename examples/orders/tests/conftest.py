import pytest

from orders import Catalog, Money, Product


@pytest.fixture
def catalog() -> Catalog:
    catalog = Catalog()
    catalog.add(Product("BK-0001", "Field Guide to Ants", Money(2400), "books", 640))
    catalog.add(Product("TY-0001", "Wooden Train", Money(3590), "toys"))
    catalog.add(Product("FD-0001", "Honey", Money(790), "food", 250))
    return catalog
