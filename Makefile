# Everything runs in .venv, which deploy/virtualenv creates from the locks.
.DEFAULT_GOAL := help
.PHONY: help demo test check bench lock venv-demo venv-dev

VENV_PYTHON := .venv/bin/python

help:  ## this list
	@awk -F ':.*  ## ' '/^[a-z]+:.*  ## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

demo: venv-demo  ## all services in one process on an embedded PostgreSQL; your own orders: ORDERS=file.jsonl
	@$(VENV_PYTHON) -m deploy.demo $(if $(ORDERS),--orders "$(ORDERS)")

test: venv-dev  ## every test that can run here; lists what was skipped, and why; only some: TESTS=tests/unit
	@$(VENV_PYTHON) -m pytest $(PARALLEL) $(TESTS)

# A process for each core, with servers of its own unless the environment names some; more than four would mostly be
# starting servers.
PARALLEL := --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

check: venv-dev  ## style, types and import walls
	@$(VENV_PYTHON) -m ruff check
	@$(VENV_PYTHON) -m ruff format --check
	@$(VENV_PYTHON) -m mypy
	@.venv/bin/lint-imports

bench: venv-dev  ## the benchmark; only some: SCENARIOS="a b"
	@$(VENV_PYTHON) -m bench $(SCENARIOS)

lock:  ## resolve and lock the dependencies again; needs uv
	@uv pip compile $(LOCK) pyproject.toml -o requirements.lock
	@uv pip compile $(LOCK) --group demo pyproject.toml -o requirements-demo.lock
	@uv pip compile $(LOCK) --group dev pyproject.toml -o requirements-dev.lock

LOCK := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

venv-demo venv-dev: venv-%:
	@deploy/virtualenv $*
