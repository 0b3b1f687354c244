# Everything here sets itself up. On a machine with a shell, make, some Python and a package index, begin with: make demo
.DEFAULT_GOAL := help
BIN := .venv/bin
TESTS ?= tests
JOBS ?= 2

.PHONY: help demo dev test check simulate bench format lock clean

help: ## what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 20

demo: ## repair the example repository, and show how it went
	@scripts/bootstrap.sh run
	@scripts/demo.sh

dev: ## everything on this machine, until Ctrl-C
	@scripts/bootstrap.sh run
	@$(BIN)/stig dev

test: ## the tests, on real servers (TESTS=tests/core for a part)
	@scripts/bootstrap.sh dev
	@$(BIN)/python -m pytest $(TESTS) -n $(JOBS) --dist loadgroup $(PYTEST_ARGS)

check: ## types, style, import rule
	@scripts/bootstrap.sh dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

simulate: ## whole fleets from seeds, with misfortunes (SEEDS=1000 FROM=0)
	@scripts/bootstrap.sh dev
	@$(BIN)/python -m tests.simulation run --seeds $(or $(SEEDS),1000) --from $(or $(FROM),0)

bench: ## orchestration beside bare Celery
	@scripts/bootstrap.sh dev
	@$(BIN)/python -m benchmarks.orchestration $(BENCH_ARGS)

format: ## put the style right
	@scripts/bootstrap.sh dev
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

lock: ## pin the newest versions that fit pyproject.toml
	@scripts/bootstrap.sh dev
	@$(BIN)/uv pip compile -q pyproject.toml --universal --python-version 3.12 --all-extras --no-emit-index-url --no-emit-find-links --no-header --upgrade -o requirements.lock

clean: ## stop what runs here and remove what was made
	@[ ! -x $(BIN)/stig ] || $(BIN)/stig down
	@rm -rf .venv .venv-uv .stigmergy .mypy_cache .ruff_cache .pytest_cache .hypothesis
