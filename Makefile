# What a reader runs: `make demo`, `make test`. What a developer runs besides: check, bench, hunt, format.
# Every target sets up what it needs; see tools/setup.

SHELL := /bin/bash
PYTHON_IN_VENV := .venv/bin/python
READY := .venv/ready
PYTEST := $(PYTHON_IN_VENV) -m pytest
WORKERS := --workers=2
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin
# Tests start Python hundreds of times; each would compile all of Tortie anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check lint bench hunt format packages clean
.DEFAULT_GOAL := test
.NOTPARALLEL:

# What happens to six packets on the reference node, and why; with root, a laboratory as well.
demo: $(READY)
	@examples/reference-node/demo
	@if [ "$$(id -u)" = 0 ]; then tools/setup packages; fi
	@examples/lab/demo

# Everything: format, lint, types, layers and all tests; those that need root are left out without it and the last line says so.
test: packages lint
	@$(PYTEST) $(WORKERS)

# What needs neither root nor a browser, in a minute and a half on two cores.
check: lint
	@$(PYTEST) $(WORKERS) --hypothesis-profile=check -m "not (kernel or browser or hunt)"

lint: $(READY)
	@$(PYTHON_IN_VENV) -m ruff format --check .
	@$(PYTHON_IN_VENV) -m ruff check .
	@$(PYTHON_IN_VENV) -m mypy
	@.venv/bin/lint-imports --no-logo

# The figures that docs and README quote.
bench: packages $(READY)
	@$(PYTHON_IN_VENV) -m bench

# Long searches for disagreement: tests/hunt, and the properties with drawn instead of fixed examples.
hunt: packages $(READY)
	@$(PYTEST) -m "hunt or property" --hypothesis-profile=hunt --timeout=0

format: $(READY)
	@$(PYTHON_IN_VENV) -m ruff format --quiet .
	@$(PYTHON_IN_VENV) -m ruff check --fix --quiet .

packages:
	@tools/setup packages

$(READY): pyproject.toml tools/setup
	@tools/setup venv
	@touch $@

clean:
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
