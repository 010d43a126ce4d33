# One command each. `make` alone lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The newest plain name that exists; setup refuses anything older than 3.11.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name))))
VENV := .venv
STAMP := $(VENV)/.installed
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help setup demo up down test check chaos bench clean

help:  ## list these targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /\1\t/' | expand -t 14

setup: $(STAMP)  ## make .venv with everything pinned; costs nothing when nothing changed

# uv does not read pip's configuration, so where wheels are found is passed on; without uv, pip does.
$(STAMP): pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; name one: make setup PYTHON=/path/to/python"; exit 1; }
	@test -x $(VENV)/bin/python || "$(PYTHON)" -m venv $(VENV)
	@links="$${UV_FIND_LINKS:-$${PIP_FIND_LINKS:-$$(python -m pip config get global.find-links 2>/dev/null || true)}}"; \
	export UV_FIND_LINKS="$${links// /,}"; \
	if python -m pip install --quiet uv; \
	then python -m uv pip install --python $(VENV)/bin/python \
	       --constraints constraints.txt --build-constraints constraints.txt --editable '.[dev]'; \
	else python -m pip install --constraint constraints.txt --editable '.[dev]'; fi
	@touch $@

demo: setup  ## the whole story in one go: score three days, gate, go online, ask, stop
	@python -m demo

up: setup  ## the same, and leave everything running
	@python -m demo up

down: setup  ## stop what `make up` left running
	@python -m demo down

test: setup  ## types, contracts and every test, on real Ray, S3 and Airflow
	@python -m mypy
	@python -m pytest

check: setup  ## lint, types, contracts and the tests that need no server
	@ruff check
	@ruff format --check
	@python -m mypy
	@python -m pytest -m 'not server'

chaos: setup  ## kill everything 200 times during one run, and count rows (up to 40 minutes)
	@python -m tests.chaos

bench: setup  ## measure against hand-written Ray code
	@python -m benchmarks

clean:  ## stop the demo and remove everything that was made here
	@if test -x $(VENV)/bin/python && test -d .demo; then python -m demo down; fi
	@rm -rf .demo .cache .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
