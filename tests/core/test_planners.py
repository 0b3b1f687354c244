"""The planner that the settings name: by its place, or by the name under which a package offers it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.planning import Impasse, TemplatePlanner
from schemas.attempts import Failure
from schemas.errors import InvalidInput
from schemas.plan import TaskSpec
from stigmergy.planners import GROUP, load_planner
from stigmergy.settings import Settings

HALVING = """
from schemas.plan import TaskSpec

class Halving:
    def __init__(self, ours):
        self.ours = ours
        self.complete, self.plan = ours.complete, ours.plan

    async def another_way(self, impasse):
        return (TaskSpec(id="think", skill="think"),)

class Whole(Halving):
    def __init__(self):
        from orchestrator.planning import TemplatePlanner, builtin_templates
        super().__init__(TemplatePlanner(builtin_templates()))

ready = Whole()
number = 7
nothing_to_do = lambda ours: None
"""
IMPASSE = Impasse(
    "acme", "m", "", "", {}, TaskSpec(id="t", skill="s"), 1, Failure(code="c", message="m"), (), "smaller_step", 0
)
type Install = Callable[..., str]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a module, and a package that offers planners in it; returns the module's name."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(text: str = HALVING, *, package: str = "halving", **offers: str) -> str:
        module = f"a_planner_{package}"
        monkeypatch.delitem(sys.modules, module, raising=False)
        (tmp_path / f"{module}.py").write_text(text, encoding="utf-8")
        about = tmp_path / f"{package}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
        lines = "".join(f"{name} = {module}:{value}\n" for name, value in offers.items())
        (about / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}", encoding="utf-8")
        return module

    return put


async def steps(place: str) -> list[str]:
    planner = load_planner(place)
    assert planner.complete("hello", {}) == load_planner("").complete("hello", {})
    return [task.id for task in await planner.another_way(IMPASSE)]


def refusal(place: str) -> str:
    with pytest.raises(InvalidInput) as refused:
        load_planner(place)
    return f"{refused.value.message} | {refused.value.hint}"


def test_ours_is_there_without_a_name() -> None:
    assert isinstance(load_planner(""), TemplatePlanner)


@pytest.mark.parametrize("name", ["Halving", "ready"])
async def test_one_is_named_by_its_place(install: Install, name: str) -> None:
    assert await steps(f"{install()}:{name}") == ["think"]


@pytest.mark.parametrize("name", ["Halving", "ready"])
async def test_a_package_offers_one_by_name(install: Install, name: str) -> None:
    install(**{"in-halves": name, "else": "number"})
    assert await steps("in-halves") == ["think"]


def test_offering_one_does_not_choose_it(install: Install) -> None:
    install(halving="Halving")
    assert isinstance(load_planner(""), TemplatePlanner)


def test_an_unknown_name_is_answered_with_the_nearest(install: Install) -> None:
    assert "no package offers one by the entry point group stigmergy.planners" in refusal("halvin")
    module = install(halving="Halving", wise="ready")
    assert refusal("halvin") == "no installed package has a planner 'halvin' | did you mean 'halving'?"
    assert "'halving'" in refusal("zzz")
    assert "'wise'" in refusal("zzz")
    assert refusal(f"{module}:Halvin") == f"{module} has no 'Halvin' | did you mean 'Halving'?"


def test_two_packages_with_one_name_are_told_apart_by_their_places(install: Install) -> None:
    install(halving="Halving")
    other = install(package="other", halving="Halving")
    assert "2 packages have a planner 'halving'" in refusal("halving")
    assert f"{other}:Halving of other" in refusal("halving")
    assert load_planner(f"{other}:Halving")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import no_such_module", "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
        ("1 / 0", "cannot be imported: ZeroDivisionError"),
        ("def (", "cannot be imported: SyntaxError"),
    ],
)
def test_an_import_that_fails_says_of_what(install: Install, text: str, why: str) -> None:
    module = install(text, halving="Halving")
    assert why in refusal("halving")
    assert f"{module}:Halving of halving" in refusal("halving")
    assert why in refusal(f"{module}:Halving")


def test_a_place_that_is_empty_is_said_to_be() -> None:
    assert "'no_such_module:x' cannot be imported" in refusal("no_such_module:x")


def test_an_attribute_error_of_the_module_itself_is_no_missing_name(install: Install) -> None:
    module = install("import os\nos.no_such_thing", halving="Halving")
    for place in ("halving", f"{module}:Halving"):
        assert "cannot be imported: AttributeError: module 'os' has no attribute 'no_such_thing'" in refusal(place)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("number", "is no planner: it is a int without complete, plan, another_way"),
        ("nothing_to_do", "is no planner: it is a NoneType without complete, plan, another_way"),
        ("Whole", "cannot be made: TypeError"),
        ("gone", "'gone'"),
    ],
)
def test_what_is_no_planner_is_refused(install: Install, name: str, why: str) -> None:
    module = install(offered=name)
    assert why in refusal("offered")
    assert why in refusal(f"{module}:{name}")


@pytest.mark.parametrize("place", ["", "halving", "in-halves", "my.planners:Halving", "acme.halving"])
def test_the_setting_takes_places_and_names(place: str) -> None:
    assert Settings(planner=place).planner == place


@pytest.mark.parametrize("place", ["two words", "module:", ":name", "a:b:c", "a/b"])
def test_the_setting_refuses_what_is_neither(place: str) -> None:
    with pytest.raises(InvalidInput, match="STIGMERGY_PLANNER"):
        Settings(planner=place)
