from datetime import date

import pytest

from orders.cli import main, parse_basket
from orders.inventory import Inventory
from orders.invoices import bill
from orders.money import Money
from orders.reports import best_sellers, customers, monday, turnover
from orders.storage import load_catalog, load_stock, read_note, save_stock


@pytest.fixture
def invoices(catalog):
    day = date(2024, 5, 6)
    return [bill(catalog, "Ada", {"FD-0001": 3}, day), bill(catalog, "Bo", {"BK-0001": 1, "FD-0001": 1}, day)]


@pytest.fixture
def catalog_file(tmp_path):
    path = tmp_path / "catalog.csv"
    path.write_text("sku,name,price,category\nBK-0001,Ants,24.00,books\nFD-0001,Honey,7.90,food\n", encoding="utf-8")
    return path


def test_turnover_and_customers(invoices):
    assert turnover(invoices) == Money(4 * 790 + 2400)
    assert customers(invoices) == ["Ada", "Bo"]


def test_best_sellers_first(invoices):
    assert best_sellers(invoices, 1) == [("FD-0001", 4)]


def test_the_report_of_monday(catalog, invoices):
    text = monday(catalog, Inventory({"FD-0001": 2}), invoices)
    assert text.startswith("WEEKLY REPORT\n=============\nturnover: 55.60 EUR")
    assert text.endswith("to be ordered:\n  FD-0001")


def test_reads_a_catalog(catalog_file):
    assert load_catalog(catalog_file).find("FD-0001").price == Money(790)


def test_stock_survives_a_round_trip(tmp_path):
    path = tmp_path / "stock.json"
    save_stock(path, Inventory({"BK-0001": 4}), ["BK-0001"])
    assert load_stock(path).available("BK-0001") == 4


def test_notes_are_optional(tmp_path):
    assert read_note(tmp_path / "none.txt") == ""
    (tmp_path / "note.txt").write_text("Thank you!\n", encoding="utf-8")
    assert read_note(tmp_path / "note.txt") == "Thank you!"


def test_baskets_are_read_from_words():
    assert parse_basket(["BK-0001=2", "FD-0001", "BK-0001"]) == {"BK-0001": 3, "FD-0001": 1}


def test_the_command_prices_a_basket(catalog_file, capsys):
    assert main(["price", str(catalog_file), "BK-0001=2", "--discount", "10"]) == 0
    assert capsys.readouterr().out == "price: 43.20 EUR\ntax:   3.14 EUR\n"


def test_the_command_tells_what_runs_low(tmp_path, capsys):
    path = tmp_path / "stock.json"
    path.write_text('{"BK-0001": 9, "FD-0001": 2}', encoding="utf-8")
    assert main(["stock", str(path)]) == 1
    assert capsys.readouterr().out == "running low:\n  FD-0001\n"
