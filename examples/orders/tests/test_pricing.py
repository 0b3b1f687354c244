from orders import Money
from orders.pricing import Discount, basket_price, categories, line_price, pieces_by_category, tax_included, tax_rate

BASKET = {"BK-0001": 2, "FD-0001": 1}


def test_prices_a_basket(catalog):
    assert basket_price(catalog, BASKET) == Money(2 * 2400 + 790)


def test_the_best_discount_counts(catalog):
    discounts = [Discount(5), Discount(20, category="books"), Discount(50, category="toys")]
    assert line_price(catalog, "BK-0001", 1, discounts) == Money(1920)


def test_discounts_for_many_pieces(catalog):
    discounts = [Discount(10, from_pieces=3)]
    assert line_price(catalog, "FD-0001", 2, discounts) == Money(1580)
    assert line_price(catalog, "FD-0001", 3, discounts) == Money(2133)


def test_one_basket_leaves_no_discount_to_the_next(catalog):
    basket_price(catalog, BASKET, [Discount(50)])
    assert basket_price(catalog, BASKET) == Money(5590)


def test_tax_rates():
    assert tax_rate("books") < tax_rate("toys")


def test_tax_is_contained_in_the_price(catalog):
    assert tax_included(catalog, {"TY-0001": 1}) == Money(3590 - 3017)


def test_counts_pieces_by_category(catalog):
    assert categories(catalog, BASKET) == ["books", "food"]
    assert pieces_by_category(catalog, BASKET) == {"books": 2, "food": 1}
