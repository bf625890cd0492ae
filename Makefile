# make start: a running cluster on this machine that has just done a real job.   make test: all tests.   make help: more.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export LC_ALL := C.UTF-8

.PHONY: help start stop test molecule lint bench simulate spark-matrix vendor lock clean
.DEFAULT_GOAL := help

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.controller: pyproject.toml scripts/make-venv
	@scripts/make-venv $(VENV) controller
	@touch $@

$(VENV)/.tests: pyproject.toml scripts/make-venv
	@scripts/make-venv $(VENV) controller,test
	@touch $@ $(VENV)/.controller

start: $(VENV)/.controller ## bring up the cluster of inventory/hosts.yml and run a real job on it
	@scripts/start

stop: $(VENV)/.controller ## stop that cluster and everything it runs
	@ansible-playbook playbooks/stop-all.yml

lint: $(VENV)/.tests ## ruff, mypy, shellcheck, ansible-lint
	@ruff check . && ruff format --check .
	@mypy
	@shellcheck $$(git grep -lE '^#!.*(bash|/sh)$$' -- ':!*.j2')
	@ansible-lint --offline --profile production

test: lint ## lint, then all tests
	@scripts/test-needs
	@pytest

spark-matrix: $(VENV)/.tests ## every release of Spark on the gateway at once (downloads 2 GB, once)
	@pytest tests/matrix/versions.py

molecule: $(VENV)/.tests ## roles and a cluster on hosts in containers; needs root and podman
	@scripts/test-needs
	@pytest tests/molecule

bench: $(VENV)/.tests ## measure; see tests/bench/README.md
	@python -m tests.bench

simulate: SEEDS ?= 10000
simulate: FIRST ?= 0
simulate: $(VENV)/.tests ## a whole cluster under faults, SEEDS=10000 times; see docs/simulation.md
	@python -m tests.simulation --first $(FIRST) --seeds $(SEEDS)

vendor: ## fetch the dashboards' libraries again, as their manifest pins them
	@scripts/vendor

lock: $(VENV)/.controller ## pin what releases for hosts contain
	@uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-header --no-annotate --upgrade \
		pyproject.toml --output-file requirements/daemon.lock

clean: ## remove the virtual environment and what tests and tools left
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .ansible tests/artifacts
	@find . -name __pycache__ -prune -exec rm -rf {} +
