"""The table of roles, and which of them ``stig dev`` hosts beside the others."""

from __future__ import annotations

import pytest

from schemas.errors import InvalidInput, ToolMissing
from stigmergy import roles
from stigmergy.cli import processes
from stigmergy.roles import Needs, Role, Runs, everywhere, read_models, role_named
from stigmergy.settings import Settings
from stigmergy.wiring import Bus


def _never(_bus: Bus, _settings: Settings) -> Runs:
    raise AssertionError("nothing is made to list roles")


def _lacks(settings: Settings) -> Needs:
    return Needs(("json",) if settings.tenant == "rich" else ("json", "no_such_package_of_anybody"), "lacking")


SETTINGS = Settings()


@pytest.fixture(autouse=True)
def _roles(monkeypatch: pytest.MonkeyPatch) -> None:
    made = {
        role.name: role
        for role in (
            Role("decides", _never, everywhere=True),
            Role("light", _never, reads=True, everywhere=True),
            Role("here", _never, reads=True, needs=lambda _: Needs(("json",), "here")),
            Role("lacking", _never, reads=True, needs=_lacks),
        )
    }
    monkeypatch.setattr(roles, "ROLES", made)
    monkeypatch.setattr(processes, "ROLES", made)


def test_the_table() -> None:
    assert everywhere() == ("decides", "light")
    assert read_models() == ("light", "here", "lacking")
    assert role_named("lacking").needs(SETTINGS).missing == ("no_such_package_of_anybody",)
    assert role_named("lacking").needs(SETTINGS).mend == "pip install 'stigmergy[lacking]'"
    with pytest.raises(InvalidInput, match="no role 'nothing'") as caught:
        role_named("nothing")
    assert "decides, light, here, lacking, or all" in caught.value.hint


def test_what_is_installed_runs_and_the_rest_is_told() -> None:
    found = processes.beside(SETTINGS)
    assert found.chosen == ("here",)
    assert [name for name, _ in found.missing] == ["lacking"]
    assert processes.beside(Settings(tenant="rich")).chosen == ("here", "lacking")
    assert processes.beside(SETTINGS, ["here"]).chosen == ("here",)
    assert processes.beside(SETTINGS, (), ["here", "lacking"]) == processes.Beside((), ())


def test_what_cannot_be_chosen() -> None:
    with pytest.raises(ToolMissing, match="lacking needs no_such_package") as caught:
        processes.beside(SETTINGS, ["lacking"])
    assert "stigmergy[lacking]" in caught.value.hint
    with pytest.raises(InvalidInput, match="no optional role 'decides'"):
        processes.beside(SETTINGS, (), ["decides"])
    with pytest.raises(InvalidInput, match="asked for and left out"):
        processes.beside(SETTINGS, ["here"], ["here"])


def test_they_share_a_process_that_nobody_waits_for() -> None:
    assert [spec.name for spec in processes.stack_processes(2)] == ["roles", "workers"]
    *_, last = processes.stack_processes(2, (), ("here", "other"))
    assert (last.name, last.optional, last.argv[-4:]) == ("read-models", True, ("serve", "--stay", "here", "other"))
