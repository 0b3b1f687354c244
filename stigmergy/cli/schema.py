"""``stig schema``: the shapes of everything that crosses a process border."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stigmergy.cli import screen
from stigmergy.cli.options import Json

app = typer.Typer(help="Event types, and their schemas as files.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write; made if it is missing.")] = Path(
        "stigmergy-schemas"
    ),
) -> None:
    """Write JSON Schemas of all events and commands, and an AsyncAPI document of all that travels.

    Any NATS client in any language can take part with them.

    \b
    Examples:
      stig schema export
      stig schema export build/schemas
    """
    from schemas.errors import InvalidInput
    from schemas.export import write_all
    from stigmergy.questions import questions

    if (folder / "__init__.py").exists():
        raise InvalidInput(f"{folder} is a Python package, not a place for generated files", hint="name another folder")
    try:
        paths = write_all(folder, signals=questions())
    except OSError as error:
        raise InvalidInput(f"cannot write into {folder}: {error.strerror}", hint="name another folder") from error
    typer.echo(f"wrote {len(paths)} files into {folder}")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Show all event types: who may write them, and what they say.

    \b
    Examples:
      stig schema list
      stig schema list --json
    """
    from schemas.events import payload_types
    from schemas.ownership import OWNERS

    rows = []
    for name, kind in payload_types().items():
        owner = OWNERS.get(name.partition(".")[0])
        says = (kind.__doc__ or "").strip().partition("\n")[0]
        rows.append({"type": name, "version": kind.VERSION, "writer": owner.value if owner else "client", "says": says})
    if as_json:
        screen.print_json(rows)
        return
    table = screen.table("type", "version", "writer", "says", right=("version",))
    for row in rows:
        table.add_row(str(row["type"]), str(row["version"]), str(row["writer"]), screen.plain(str(row["says"])))
    screen.out().print(table)
