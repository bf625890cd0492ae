# make start: a running cluster on this machine that has just done a real job.   make test: all tests.   make help: more.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export LC_ALL := C.UTF-8
# no: make test without Spark, Ray, Dask, browsers and Debian's packages for tests (1.5 GB less); their tests skip.
ENGINES ?= yes
TESTS := $(if $(filter no,$(ENGINES)),tests,engines)
# Tests that make test runs at a time. On two cores three at a time are hardly quicker, and some reach their deadlines.
JOBS ?= 2
LOCKED := pyproject.toml scripts/bootstrap.py scripts/pip_index.py

# The programs in $(BIN) name the folder they were installed in.
ifneq ($(MAKECMDGOALS),clean)
ifneq ($(shell [ ! -e $(BIN)/stoker ] || grep -qF '$(CURDIR)/' $(BIN)/stoker || echo moved),)
$(error this checkout was moved or renamed since .venv was made: run 'make clean', then this again)
endif
endif

.PHONY: help start stop test fuzz molecule lint bench simulate mutants spark-matrix diagrams reference vendor lock release clean
.DEFAULT_GOAL := help

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.controller: requirements/controller.lock $(LOCKED)
	@python3 scripts/bootstrap.py controller

$(VENV)/.tests: requirements/tests.lock $(LOCKED)
	@python3 scripts/bootstrap.py tests

$(VENV)/.engines: requirements/engines.lock $(LOCKED)
	@python3 scripts/bootstrap.py engines

start: $(VENV)/.controller ## bring up the cluster of inventory/hosts.yml and run a real job on it
	@scripts/start

stop: $(VENV)/.controller ## stop that cluster and everything it runs
	@ansible-playbook playbooks/stop-all.yml

lint: $(VENV)/.tests ## ruff, mypy, shellcheck, ansible-lint
	@ruff check . && ruff format --check .
	@mypy
	@shellcheck $$(git grep -nE '^#!.*(bash|/sh)$$' -- ':!*.j2' | sed -n 's/:1:.*//p')
	@ansible-lint --offline --profile production

test: $(VENV)/.$(TESTS) lint ## lint, then all tests; ENGINES=no: without large packages
	@scripts/test-needs $(TESTS)
	@pytest -n $(JOBS) --dist loadscope --no-loadscope-reorder

spark-matrix: $(VENV)/.engines ## every release of Spark and every pair of them, Airflow (downloads 2.5 GB, once)
	@pytest tests/matrix/versions.py tests/matrix/airflow_provider.py

fuzz: MINUTES ?= 30
fuzz: $(VENV)/.tests ## random bytes for every parser, for MINUTES=30; see docs/testing.md
	@python -m tests.attack.fuzz --minutes $(MINUTES)

molecule: $(VENV)/.tests ## roles and a cluster on hosts in containers; needs root and podman
	@scripts/test-needs engines
	@pytest tests/molecule

bench: $(VENV)/.engines ## measure; see tests/bench/README.md
	@python -m tests.bench

mutants: $(VENV)/.tests ## plant bugs in the shells, one after the other: tests must find each (ONLY=TEXT: some)
	@python -m tests.mutants --only "$(ONLY)"

simulate: SEEDS ?= 10000
simulate: FIRST ?= 0
simulate: $(VENV)/.tests ## a whole cluster under faults, SEEDS=10000 times; see docs/simulation.md
	@python -m tests.simulation --first $(FIRST) --seeds $(SEEDS)

diagrams: $(VENV)/.controller ## write the diagrams of docs/protocol.md from the tables of states
	@python scripts/diagrams

reference: ## write the reference of docs/python.md from the docstrings
	@python3 scripts/reference

vendor: ## fetch the dashboards' libraries again, as their manifest pins them
	@scripts/vendor

release: $(VENV)/.controller ## releases for hosts, their checksums and a list of what is in them, in dist/
	@python scripts/release

lock: ## pin what hosts, the checkout and tests need, in requirements/*.lock
	@python3 scripts/lock

clean: ## remove the virtual environment and what tests and tools left
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .ansible tests/artifacts
	@find . -name __pycache__ -prune -exec rm -rf {} +
