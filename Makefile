# Every target that a person types has its sentence behind "##"; `make` shows them.

PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest
WORKERS ?= 2
# Tests in the lab wait for hosts more than they work.
LABS ?= 3
RUNS ?= 100
SEED ?=

# A failed part does not keep the others of `make test` from running; the exit status
# still tells of it.
MAKEFLAGS += --keep-going --no-print-directory

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo demo-up demo-down test lint test-quick test-lab test-browser \
        nemesis pictures bench deb rpm ready ready-tests ready-bench ready-packages

help: ## Show what can be made
	@echo "ElepHaaS: make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1	\2/p' $(firstword $(MAKEFILE_LIST)) \
	    | while IFS='	' read -r name words; do printf '  %-12s %s\n' "$$name" "$$words"; done

setup: ready-tests ## Install what is missing: Debian packages (as root) and .venv

demo: ready ## Run the demonstration until Ctrl-C; its page is on localhost (root)
	@$(PYTHON) -m lab demo

demo-up: ready ## Start the demonstration in the background (root)
	@$(PYTHON) -m lab demo-up

demo-down: ready ## End the demonstration and delete what it made (root)
	@$(PYTHON) -m lab demo-down

test: lint test-quick test-lab test-browser ## Run every test: all of the four below (root)

lint: ready-tests ## Check style, types, layers and migrations
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	DJANGO_SETTINGS_MODULE=tests.settings $(PYTHON) -W ignore manage.py \
	    makemigrations --check --dry-run --skip-checks
	$(PYTEST) -q tests/unit/test_architecture.py
	$(PYTHON) -m tools.audit

test-quick: ready-tests ## Run the tests that need neither root nor the lab
	$(PYTEST) -n $(WORKERS) -m "not lab and not browser"

test-lab: ready-tests ## Run the tests on lab hosts, some files at a time (root)
	$(PYTEST) -n $(LABS) --dist loadfile -m "lab and not browser"

test-browser: ready-tests ## Run the tests in a browser, one at a time (root)
	$(PYTEST) -m browser

nemesis: ready-tests ## Break things while primaries move; RUNS=100, SEED=1 (root)
	$(PYTHON) -m tests.nemesis --runs $(RUNS) $(if $(SEED),--seed $(SEED))

pictures: ready-tests ## Take the pictures in docs/images anew (root)
	@$(PYTHON) -m tests.browser.showcase

bench: ready-bench ## Measure against other tools on lab hosts (root)
	$(PYTHON) -m bench

deb: ready-packages ## Build the Debian packages into dist/ and check them
	@$(PYTHON) -m tools.package deb
	lintian --fail-on error dist/*.deb

rpm: ready-packages ## Build the RPMs into dist/, for this machine's Python
	@$(PYTHON) -m tools.package rpm

ready:
	@python3 -m tools.setup

ready-tests:
	@python3 -m tools.setup --tests

ready-bench:
	@python3 -m tools.setup --tests --bench

ready-packages:
	@python3 -m tools.setup --packages
