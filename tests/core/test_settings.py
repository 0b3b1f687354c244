"""Settings: read from the environment, frozen, silent about secrets, clear about mistakes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from schemas.errors import InvalidInput
from stigmergy.settings import Settings, without_credentials


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("STIGMERGY_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_defaults_need_nothing(tmp_path: Path) -> None:
    settings = Settings()
    assert settings.nats_url is None
    assert settings.redis_url is None
    assert settings.state_dir == tmp_path / ".stigmergy"
    assert (settings.tenant, settings.log_level) == ("default", "INFO")
    assert (settings.worker_lease_s, settings.heartbeat_s) == (2.5, 0.5)


def test_the_environment_is_read_and_arguments_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STIGMERGY_TENANT", "acme")
    monkeypatch.setenv("STIGMERGY_LOG_LEVEL", "debug")
    monkeypatch.setenv("STIGMERGY_NATS_PORT", "4333")
    settings = Settings(tenant="other")
    assert (settings.tenant, settings.log_level, settings.nats_port) == ("other", "DEBUG", 4333)


def test_a_dotenv_of_a_foreign_repository_is_not_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("STIGMERGY_TENANT=stranger\n")
    assert Settings().tenant == "default"


def test_secrets_stay_out_of_every_rendering() -> None:
    settings = Settings(
        nats_url="nats://h1dden@host:4222", redis_url="redis://:h1dden@host:6379/0", nats_token="h1dden"
    )
    for shown in (repr(settings), str(settings), repr(settings.nats_url), settings.model_dump_json()):
        assert "h1dden" not in shown
    assert "nats://***@host:4222" in repr(settings)
    assert settings.nats_url is not None
    assert settings.nats_url.get_secret_value() == "nats://h1dden@host:4222"


def test_revealed_rebuilds_the_same_settings() -> None:
    settings = Settings(nats_url="nats://h1dden@host:4222", nats_token="t", tenant="acme")
    assert Settings(**settings.revealed()).revealed() == settings.revealed()


def test_the_environment_gives_another_process_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(redis_url="redis://:h1dden@host", tenant="acme", heartbeat_s=0.5, nats_port=4333)
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings().revealed() == settings.revealed()


def test_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().tenant = "x"


@pytest.mark.parametrize(
    ("variable", "value", "mend"),
    [
        ("STIGMERGY_NATS_PORT", "http", "valid integer"),
        ("STIGMERGY_NATS_PORT", "70000", "less than or equal to 65535"),
        ("STIGMERGY_LOG_LEVEL", "loud", "'DEBUG', 'INFO'"),
        ("STIGMERGY_TENANT", "a.b", "letters, digits"),
        ("STIGMERGY_WORKER_LEASE_S", "0", "greater than 0"),
        ("STIGMERGY_WORKER_LEASE_S", "nan", "STIGMERGY_WORKER_LEASE_S"),
        ("STIGMERGY_REDIS_URL", "localhost:6379", "redis://host:port"),
        ("STIGMERGY_NATS_URL", "http://user:h1dden@host", "nats://host:port"),
        ("STIGMERGY_NATS_URL", "nats://h1dden@host:nan", "nats://host:port"),
        ("STIGMERGY_HEARTBEAT_S", "3", "STIGMERGY_WORKER_LEASE_S"),
    ],
)
def test_a_mistake_names_the_variable_and_the_mend(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, mend: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidInput) as caught:
        Settings()
    assert variable in caught.value.message
    assert mend in caught.value.message
    assert caught.value.hint
    assert "h1dden" not in caught.value.message
    assert caught.value.__cause__ is None


def test_a_url_without_credentials_is_shown_whole() -> None:
    assert without_credentials("nats://host:1") == "nats://host:1"
    assert without_credentials("redis://:p@ss@host:1/0") == "redis://***@host:1/0"
