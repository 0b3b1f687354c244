"""Runs a repository's own tests in a sandbox and reports them case by case."""

from workers.tools.pytest_suite.run import run_suite

__all__ = ["run_suite"]
