"""The same without an event loop, with a plan of one's own for the agent in ``my_agents.py``."""

from stigmergy import Plan, SyncClient, TaskSpec

COUNT = TaskSpec(id="count", skill="count-words", inputs={"text": "the cat and the hat"})


def main() -> None:
    with SyncClient() as client:
        outcome = client.run(
            "Count words", plan=Plan(tasks=(COUNT,), result={"count": "${count.output}"}), timeout_s=30
        )
        for event in client.events(outcome.id):
            print(event.type, event.subject or "")
        print(outcome.status, outcome.result["count"])


if __name__ == "__main__":
    main()
