# Two commands do all the set-up that they need: 'make drill' and 'make test'.
# The environment is brought up to date only when pyproject.toml or constraints.txt change.

VENV ?= .venv
BIN := $(VENV)/bin
# The first Python on the path that is new enough. Set PYTHON to use another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
ARGS ?=
# The target of 'make admissible': nothing for the embedded pipeline, docker, or a file.
TARGET ?=
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help drill test lint pytest wheel-test bench admissible catalogue docker-image docker-test \
	drill-docker clean

help:
	@echo 'make drill        set up $(VENV) and run the first drill: bad-model-version on the reference pipeline'
	@echo 'make test         set up $(VENV) and run the linters, the type checker and the tests'
	@echo 'make lint         only the linters and the type checker'
	@echo 'make pytest       only the tests; ARGS="-k name" for some of them'
	@echo 'make wheel-test   build the wheel, install it in an empty environment and run a drill there'
	@echo 'make bench        print the figures of tests/bench: its programs bench_*.py, then its tests'
	@echo 'make admissible   every arm and every lazy response of every scenario, as a table; TARGET=docker on containers'
	@echo 'make catalogue    run every scenario of data, features and drift, and draw docs/catalogue anew; ARGS=NAME for one'
	@echo 'make drill-docker the first drill on containers: starts an engine and builds the image where there is none'
	@echo 'make docker-image the image of the reference pipeline in containers; see docs/containers.md'
	@echo 'make docker-test  the tests that need a Docker engine and that image'
	@echo 'make clean        remove what the build and the tests left; also $(VENV)'

drill: $(VENV)/.installed
	$(BIN)/drill run bad-model-version $(ARGS)

test: lint pytest

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check --output-format concise .
	$(BIN)/mypy

# Those that start real processes run one after the other: two at a time would be each other's disturbance.
pytest: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 -m 'not bench and not e2e' $(ARGS)
	$(BIN)/python -m pytest -m 'e2e and not bench' --durations=15 $(ARGS)

wheel-test: $(VENV)/.installed-dev
	PYTHON=$(BIN)/python bash .ci/wheel-drill

bench: $(VENV)/.installed-dev
	@for file in tests/bench/bench_*.py; do \
		echo "== $$file"; PYTHONPATH=.:fixtures $(BIN)/python $$file || exit 1; done
	$(BIN)/python -m pytest tests/bench -m bench -s --timeout=0 $(ARGS) || [ $$? -eq 5 ] # 5: all are programs

admissible: $(VENV)/.installed-dev
	$(BIN)/python -m tests.admissible $(if $(TARGET),--target $(TARGET)) $(ARGS)

catalogue: $(VENV)/.installed-dev
	$(BIN)/python -m tests.catalogue $(ARGS)

# What is built already is a matter of seconds, and the only way to know that it is that of this checkout.
docker-image:
	.ci/docker-engine start
	.ci/pipeline-image

drill-docker: $(VENV)/.installed docker-image
	$(BIN)/drill run bad-model-version --target docker $(ARGS)

docker-test: $(VENV)/.installed-dev docker-image
	MLDRILL_DOCKER=required $(BIN)/python -m pytest -m docker --durations=10 $(ARGS)

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment needs pip. Where Python came without ensurepip (Debian without python3-venv), its own pip will do.
$(BIN)/python:
	@[ -n '$(PYTHON)' ] || { echo "mldrill needs Python 3.11 or later; this is $$(python3 --version 2>&1)." \
		"Name one with: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
		$(PYTHON) -m venv --clear $(VENV); \
	elif $(PYTHON) -m pip --version >/dev/null 2>&1; then \
		$(PYTHON) -m venv --clear --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $@ install --quiet --disable-pip-version-check pip; \
	else \
		echo "$(PYTHON) can't make an environment: it has neither ensurepip nor pip." \
			"On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; \
	fi

# The build backend comes from the constraints too, and so stands in the environment and not in one of pip's own.
$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	$(INSTALL) hatchling
	$(INSTALL) --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) --no-build-isolation --editable '.[dev]'
	@touch $@
