import pytest

from orders import Money, Product


def test_finds_products(catalog):
    assert catalog.find("FD-0001").name == "Honey"
    assert len(catalog) == 3


def test_unknown_products_are_an_error(catalog):
    with pytest.raises(KeyError):
        catalog.find("XX-9999")


def test_refuses_a_second_product_of_the_same_number(catalog):
    with pytest.raises(ValueError, match="already"):
        catalog.add(Product("FD-0001", "Jam", Money(500)))


@pytest.mark.parametrize("sku", ["", "bk-0001", "BK-1", "BK-00011"])
def test_refuses_odd_numbers(catalog, sku):
    with pytest.raises(ValueError, match="stock keeping unit"):
        catalog.add(Product(sku, "Odd", Money(1)))


def test_groups_by_category(catalog):
    assert sorted(catalog.by_category()) == ["books", "food", "toys"]


def test_unknown_weights_count_as_half_a_kilogram(catalog):
    assert catalog.shipping_weight(["BK-0001", "TY-0001", "FD-0001"]) == 640 + 500 + 250
