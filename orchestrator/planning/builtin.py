"""The workflows that come with Stigmergy: every YAML file in the folder ``workflows``."""

from __future__ import annotations

from functools import cache
from importlib import resources

from orchestrator.planning.template import Template, load_template


def builtin_templates() -> dict[str, Template]:
    """All of them by name. They are read once in a process."""
    return dict(_loaded())


@cache
def _loaded() -> tuple[tuple[str, Template], ...]:
    folder = resources.files("orchestrator.planning") / "workflows"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    templates = [load_template(file.read_text(encoding="utf-8"), file.name) for file in files]
    return tuple((template.name, template) for template in templates)
