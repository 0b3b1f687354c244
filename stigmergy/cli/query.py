"""``stig query``: ask the analytics, by a template or in SQL of one's own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stigmergy.cli.options import Json

if TYPE_CHECKING:
    from projections.analytics.queries.port import Answer, QueryEngine, Question
    from projections.analytics.queries.registry import Template
    from stigmergy.cli.query_output import Output
    from stigmergy.settings import Settings

_FULL_ID = 36


def query(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A query of `stig query list`; or: list, sql.")],
    argument: Annotated[str, typer.Argument(metavar="[SQL|NAME]", help="SQL for sql, a name for list.")] = "",
    since: Annotated[str | None, typer.Option(metavar="TIME", help="90s, 10m, 2h, 3d, begin, or an ISO time.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="As --since; now if left out.")] = None,
    bucket: Annotated[str | None, typer.Option(metavar="SPAN", help="minute, hour, day, or such as 5m.")] = None,
    by: Annotated[str | None, typer.Option(metavar="WHAT", help="What rows are: agent, tool, type …")] = None,
    mission: Annotated[
        str | None, typer.Option("--mission", "-m", metavar="ID", help="A mission, the beginning of its id, or: last.")
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Rows at most.")] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("--param", "-p", metavar="KEY=VALUE", help="Any parameter; may be repeated.")
    ] = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
    chart: Annotated[bool, typer.Option("--chart", help="Draw a chart instead of a table.")] = False,
    watch: Annotated[float | None, typer.Option(metavar="SECONDS", min=0.5, help="Ask again and again.")] = None,
) -> None:
    """Ask what happened: trends, agents, tools, slow and failing tasks, costs, waiting, missions; or in SQL.

    Answers come from the process that runs `stig serve analytics` (or `stig dev`), or straight from the server that
    STIGMERGY_CLICKHOUSE_URL names. Only events of STIGMERGY_TENANT are seen. Times are in UTC.

    \b
    Examples:
      stig query list                               all queries; `stig query list costs` tells more of one
      stig query agents --since 2h
      stig query trends --by noun --bucket 5m --since 3h --chart
      stig query costs --by model --since 7d --csv > costs.csv
      stig query tasks --mission last
      stig query waiting -p skill=edit --chart --watch 5
      stig query sql "SELECT type, count() AS n FROM events GROUP BY type ORDER BY n DESC"
    """
    from schemas.errors import InvalidInput
    from stigmergy.cli.query_output import Output
    from stigmergy.settings import Settings

    if sum([as_json, as_csv, chart]) > 1:
        raise InvalidInput("--json, --csv and --chart exclude one another", hint="choose one")
    if watch is not None and (as_json or as_csv):
        raise InvalidInput("--watch shows a table or a chart", hint="leave --json and --csv out")
    if name == "list":
        _list(argument, as_json)
        return
    given = _given(parameter or [], since=since, until=until, bucket=bucket, by=by, mission=mission)
    settings = Settings()
    template, question = _question(name, argument, given, limit, settings)
    output = Output(template, question, "json" if as_json else "csv" if as_csv else "chart" if chart else "table")
    asyncio.run(_watched(settings, question, output, watch) if watch else _asked(settings, question, output))


def _given(pairs: list[str], **named: str | None) -> dict[str, Any]:
    from schemas.errors import InvalidInput

    given: dict[str, Any] = {key: value for key, value in named.items() if value is not None}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise InvalidInput(f"{pair!r} is no parameter", hint="write --param KEY=VALUE")
        if key in given:
            raise InvalidInput(f"the parameter {key} was given twice", hint="leave one of them out")
        given[key] = value
    return given


def _question(
    name: str, argument: str, given: dict[str, Any], limit: int | None, settings: Settings
) -> tuple[Template | None, Question]:
    from datetime import UTC, datetime

    from projections.analytics.queries.port import ROWS, Question
    from projections.analytics.queries.registry import template
    from schemas.errors import InvalidInput

    if name == "sql":
        if not argument.strip():
            raise InvalidInput("there is no SQL", hint='for instance: stig query sql "SELECT count() FROM events"')
        return None, Question(sql=argument, parameters=given, limit=limit or ROWS)
    if argument:
        raise InvalidInput(f"what is {argument!r}?", hint="parameters of a query are options: --param KEY=VALUE")
    chosen = template(name)
    if limit is not None:
        given["limit"] = limit
    chosen.bind(given, settings.tenant, datetime.now(UTC))
    if name == "tasks" and "mission" not in given:
        raise InvalidInput("which mission?", hint="add --mission ID, or --mission last")
    return chosen, Question(template=name, parameters=given)


async def _asked(settings: Settings, question: Question, output: Output) -> None:
    from stigmergy.wiring import open_queries

    async with open_queries(settings) as engine:
        output.show(await _answer(engine, settings, question))


async def _watched(settings: Settings, question: Question, output: Output, every_s: float) -> None:
    from rich.live import Live

    from stigmergy.cli import screen
    from stigmergy.wiring import open_queries

    console = screen.out()
    async with open_queries(settings) as engine:
        if not console.is_terminal:  # nothing can be drawn over: one after the other
            while True:
                console.print(output.drawn(await _answer(engine, settings, question)))
                await asyncio.sleep(every_s)
        with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
            while True:
                live.update(output.drawn(await _answer(engine, settings, question)), refresh=True)
                await asyncio.sleep(every_s)


async def _answer(engine: QueryEngine, settings: Settings, question: Question) -> Answer:
    from msgspec.structs import replace

    from projections.analytics.queries.port import Question, collect
    from stigmergy.cli.finding import meant

    said = str(question.parameters.get("mission", ""))
    if question.template and said and len(said) < _FULL_ID:
        known = await collect(engine.ask(settings.tenant, Question(template="missions", parameters={"limit": 1000})))
        whole = meant(said, [row["mission"] for row in known])
        question = replace(question, parameters={**question.parameters, "mission": whole})
    return await collect(engine.ask(settings.tenant, question))


def _list(name: str, as_json: bool) -> None:
    from projections.analytics.queries.registry import template, templates
    from stigmergy.cli import screen
    from stigmergy.cli.query_output import described

    if as_json:
        shown = [template(name)] if name else list(templates().values())
        screen.print_json([described(one) for one in shown])
        return
    if not name:
        table = screen.table("query", "what it tells", "parameters")
        for one in templates().values():
            table.add_row(one.name, one.title, ", ".join(each.name for each in one.parameters))
        screen.out().print(table)
        typer.echo('more of one: stig query list NAME; in SQL of your own: stig query sql "SELECT …"', err=True)
        return
    one = template(name)
    typer.echo(f"{one.title}. {one.description}")
    table = screen.table("parameter", "default", "what it is", "write")
    for each in one.parameters:
        table.add_row(each.name, each.default, screen.plain(each.description), screen.plain(each.fits))
    screen.out().print(table)
