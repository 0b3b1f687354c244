"""The table of roles, and which of them ``stig dev`` hosts beside the others."""

from __future__ import annotations

import pytest

from schemas.errors import InvalidInput, ToolMissing
from stigmergy import roles
from stigmergy.cli import processes
from stigmergy.roles import Role, Runs, everywhere, read_models, role_named
from stigmergy.settings import Settings
from stigmergy.wiring import Bus


def _never(_bus: Bus, _settings: Settings) -> Runs:
    raise AssertionError("nothing is made to list roles")


@pytest.fixture(autouse=True)
def _roles(monkeypatch: pytest.MonkeyPatch) -> None:
    made = {
        role.name: role
        for role in (
            Role("decides", _never, everywhere=True),
            Role("light", _never, reads=True, everywhere=True),
            Role("here", _never, reads=True, packages=("json",), extra="here"),
            Role("lacking", _never, reads=True, packages=("json", "no_such_package_of_anybody"), extra="lacking"),
        )
    }
    monkeypatch.setattr(roles, "ROLES", made)
    monkeypatch.setattr(processes, "ROLES", made)


def test_the_table() -> None:
    assert everywhere() == ("decides", "light")
    assert read_models() == ("light", "here", "lacking")
    assert role_named("lacking").missing == ("no_such_package_of_anybody",)
    assert role_named("lacking").mend == "pip install 'stigmergy[lacking]'"
    with pytest.raises(InvalidInput, match="no role 'nothing'") as caught:
        role_named("nothing")
    assert "decides, light, here, lacking, or all" in caught.value.hint


def test_what_is_installed_runs_and_the_rest_is_told() -> None:
    found = processes.beside()
    assert found.chosen == ("here",)
    assert [role.name for role in found.missing] == ["lacking"]
    assert processes.beside(["here"]).chosen == ("here",)
    assert processes.beside((), ["here", "lacking"]) == processes.Beside((), ())


def test_what_cannot_be_chosen() -> None:
    with pytest.raises(ToolMissing, match="lacking needs no_such_package") as caught:
        processes.beside(["lacking"])
    assert "stigmergy[lacking]" in caught.value.hint
    with pytest.raises(InvalidInput, match="no optional role 'decides'"):
        processes.beside((), ["decides"])
    with pytest.raises(InvalidInput, match="asked for and left out"):
        processes.beside(["here"], ["here"])


def test_they_share_a_process_that_nobody_waits_for() -> None:
    assert [spec.name for spec in processes.stack_processes(2)] == ["roles", "workers"]
    *_, last = processes.stack_processes(2, (), ("here", "other"))
    assert (last.name, last.optional, last.argv[-3:]) == ("read-models", True, ("serve", "here", "other"))
