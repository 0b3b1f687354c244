"""The task-queue manager: situation, parametrisation, dispatch, leases, judgement."""
