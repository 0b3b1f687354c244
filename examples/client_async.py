"""Submit a mission, follow its events, await its result. Needs a running stack: ``stig dev``."""

import asyncio

from stigmergy import Client


async def main() -> None:
    async with Client() as client:
        mission = await client.submit("Greet them", workflow="hello", inputs={"names": ["Ada", "Grace"]})
        async for event in mission.events():
            print(event.type, event.subject or "")
            if event.type in ("mission.completed", "mission.failed", "mission.cancelled"):
                break
        outcome = await mission.outcome(timeout_s=30)
        print(outcome.status, outcome.result["greetings"])


if __name__ == "__main__":
    asyncio.run(main())
