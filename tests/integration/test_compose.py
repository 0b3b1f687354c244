"""The compose file: valid, complete, and as tight as docs/operations.md says. An engine is not needed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stigmergy.roles import ROLES
from stigmergy.settings import SecretUrl, Settings

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"
TEXT = FILE.read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "infra/images/Dockerfile").read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = YAML(typ="safe").load(TEXT)["services"]
OURS = ["streams", "orchestrator", "task-queue", "world", "archive", "analytics", "worker", "cli"]
SECRETS = sorted(set(re.findall(r"\$\{([A-Z_]+_PASSWORD)", TEXT)))


def tool(name: str) -> str:
    """A program of the development environment. A missing one fails in CI and skips elsewhere."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        if os.environ.get("CI") == "true":
            raise AssertionError(f"{name} is missing: install the dev extra")
        pytest.skip(f"{name} is not installed")
    return found


def compose(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """``docker compose config``, which needs the plugin and no engine; the schema is checked where it is missing."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True).returncode != 0:
        pytest.skip("Docker's compose plugin is not here; the schema test checks the file in any case")
    return subprocess.run(
        [docker, "compose", "--file", FILE, "--env-file", os.devnull, "--profile", "*", "config", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_CONFIG") if name in os.environ} | env,
    )


def test_it_fits_the_compose_specification() -> None:
    done = subprocess.run(
        [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", FILE], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_recipe_has_no_known_flaws() -> None:
    done = subprocess.run([tool("hadolint"), ROOT / "infra/images/Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_reads_it_when_all_secrets_are_there() -> None:
    done = compose("--format", "json", env=dict.fromkeys(SECRETS, "abc123"))
    assert done.returncode == 0, done.stderr
    worker = json.loads(done.stdout)["services"]["worker"]
    assert worker["environment"]["STIGMERGY_NATS_URL"] == "nats://worker:abc123@nats:4222"


@pytest.mark.parametrize("secret", SECRETS)
def test_compose_refuses_to_start_without_a_secret(secret: str) -> None:
    done = compose("--quiet", env={name: "abc123" for name in SECRETS if name != secret})
    assert done.returncode != 0
    assert secret in done.stderr
    assert ".env.example" in done.stderr


@pytest.mark.parametrize("secret", SECRETS)
def test_every_secret_is_required_and_has_no_default(secret: str) -> None:
    assert f"${{{secret}:?" in TEXT
    assert f"${{{secret}:-" not in TEXT
    assert re.search(rf"^{secret}=$", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_example_gives_no_secret_away() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    given = [line for line in lines if "=" in line and not line.startswith("#")]
    assert sorted(line.removesuffix("=") for line in given) == SECRETS


def test_every_setting_of_the_example_is_one_of_the_file() -> None:
    offered = re.findall(r"^# ([A-Z_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(offered) > 5
    handed_on = {
        name for service in SERVICES.values() for name, value in _environment(service).items() if value is None
    }
    assert [name for name in offered if f"${{{name}:-" not in TEXT and name not in handed_on] == []
    assert handed_on <= set(offered)


def _environment(service: dict[str, Any]) -> dict[str, str | None]:
    found: dict[str, str | None] = service.get("environment", {})
    return found


@pytest.mark.parametrize("name", OURS)
def test_a_role_is_given_only_settings_that_there_are(name: str) -> None:
    known = {f"STIGMERGY_{field.upper()}" for field in Settings.model_fields} | {"STIGMERGY_READY_FILE"}
    assert _environment(SERVICES[name]).keys() <= known


def test_every_role_is_in_the_file_or_has_no_place_there() -> None:
    served = {SERVICES[name]["command"][1] for name in OURS if SERVICES[name].get("command", [""])[0] == "serve"}
    assert served == ROLES.keys() - {"scaler", "backlog"}


def test_the_image_has_what_its_roles_import() -> None:
    settings = Settings(clickhouse_url=SecretUrl("clickhouse://stigmergy:abc123@clickhouse:8123/stigmergy"))
    needed = {ROLES[name].needs(settings).extra for name in ("archive", "analytics")}
    assert needed == {"archive", "analytics"}  # the second brings the first
    for name in OURS:
        assert SERVICES[name]["build"]["args"]["EXTRAS"] == "${IMAGE_EXTRAS:-[analytics]}"
    assert 'ARG EXTRAS="[analytics]"' in DOCKERFILE


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_more_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not {"privileged", "pid", "ipc", "devices", "container_name"} & service.keys()
    assert {"mem_limit", "cpus", "pids_limit"} <= service.keys()
    assert (service["user"] == "0:0") is (name == "nats-volume")
    assert not any("docker.sock" in str(volume) for volume in service.get("volumes", []))


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_loopback_only(name: str) -> None:
    assert [port for port in SERVICES[name].get("ports", []) if not port.startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - set(OURS)))
def test_an_image_of_others_has_a_version(name: str) -> None:
    tag = SERVICES[name]["image"].rpartition(":")[2]
    assert re.match(r"\d+(\.\d+)?", tag), tag


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"streams", "cli", "nats-volume"}))
def test_a_server_is_watched_restarted_and_given_time_to_stop(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"]
    assert service["restart"] == "unless-stopped"
    assert service["stop_grace_period"]


@pytest.mark.parametrize("name", ["nats", "redis", "clickhouse", "postgres"])
def test_a_store_keeps_its_data_in_a_named_volume(name: str) -> None:
    sources = [volume.partition(":")[0] for volume in SERVICES[name]["volumes"]]
    assert f"{name}-data" in sources


@pytest.mark.parametrize("name", ["worker", "world"])
def test_workers_and_the_world_can_have_replicas(name: str) -> None:
    assert not {"container_name", "ports", "hostname"} & SERVICES[name].keys()


def test_one_writes_the_archive_and_others_only_read_it() -> None:
    folder = SERVICES["archive"]["environment"]["STIGMERGY_ARCHIVE_URL"]
    assert SERVICES["archive"]["volumes"] == [f"archive-data:{folder}"]
    assert SERVICES["archive"].get("scale", 1) == 1
    for name in ("orchestrator", "cli"):
        assert SERVICES[name]["environment"]["STIGMERGY_ARCHIVE_URL"] == folder
        assert SERVICES[name]["volumes"] == [f"archive-data:{folder}:ro"]
    [made] = [line for line in DOCKERFILE.splitlines() if "install --directory" in line]
    assert folder in made.split()


def test_the_analytics_come_with_their_store() -> None:
    analytics, store = SERVICES["analytics"], SERVICES["clickhouse"]
    assert analytics["profiles"] == store["profiles"] == ["stores"]
    assert analytics["depends_on"]["clickhouse"] == {"condition": "service_healthy"}
    given = store["environment"]
    assert analytics["environment"]["STIGMERGY_CLICKHOUSE_URL"] == (
        f"clickhouse://{given['CLICKHOUSE_USER']}:${{CLICKHOUSE_PASSWORD}}@clickhouse:8123/{given['CLICKHOUSE_DB']}"
    )


@pytest.mark.parametrize("name", ["archive", "analytics"])
def test_who_needs_no_redis_has_no_password_for_it(name: str) -> None:
    assert "STIGMERGY_REDIS_URL" not in SERVICES[name]["environment"]
    assert "redis" not in SERVICES[name]["depends_on"]


def test_the_server_is_given_the_password_of_every_user() -> None:
    wanted = set(
        re.findall(r"\$(NATS_\w+_PASSWORD)", (ROOT / "infra/nats/authorization.conf").read_text(encoding="utf-8"))
    )
    assert len(wanted) > 5
    given = SERVICES["nats"]["environment"]
    assert {name for name in given if name.endswith("_PASSWORD")} == wanted
    for name in wanted:
        assert given[name].startswith(f'"${{{name}:?')


@pytest.mark.parametrize(
    ("name", "user"),
    [("streams", "orchestrator"), ("orchestrator", "orchestrator"), ("task-queue", "task_queue"),
     ("world", "projections"), ("archive", "archive"), ("analytics", "projections"), ("worker", "worker"),
     ("cli", "client")],
)  # fmt: skip
def test_a_role_comes_in_as_its_own_user(name: str, user: str) -> None:
    url = SERVICES[name]["environment"]["STIGMERGY_NATS_URL"]
    assert url.startswith(f"nats://{user}:${{NATS_{user.upper()}_PASSWORD}}@")


def test_the_worker_s_system_call_filter_is_there_and_keeps_the_worst_out() -> None:
    [option] = [option for option in SERVICES["worker"]["security_opt"] if option.startswith("seccomp=")]
    filter_ = json.loads((ROOT / option.partition("=")[2]).read_text(encoding="utf-8"))
    refused = {name for rule in filter_["syscalls"] if rule["action"] == "SCMP_ACT_ERRNO" for name in rule["names"]}
    assert {"bpf", "kexec_load", "init_module", "ptrace", "keyctl", "io_uring_setup", "perf_event_open"} <= refused
    assert not {"clone", "unshare", "mount", "pivot_root"} & refused


def test_only_what_the_wheel_is_made_of_goes_into_the_image() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines
    copied = {
        word
        for line in DOCKERFILE.splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    }
    assert copied == {line[1:] for line in lines if line.startswith("!")}
