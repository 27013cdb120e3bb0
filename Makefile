# Everything a newcomer types. `make setup` is the only target that installs; the others call it when it is out of date.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
export TF_CPP_MIN_LOG_LEVEL ?= 3
# Tests wait for processes about as often as they compute; a server and a trainer each fit into 2 GB beside them.
WORKERS ?= 2

.PHONY: help setup demo test lint bench soak clean
help:            ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

setup: $(VENV)/.installed ## make .venv with graft and everything its checks need

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "graft needs Python 3.11 or newer; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: setup      ## train a base, serve it, tune a head from uploaded data, swap it under traffic (KEEP=1 leaves it up)
	$(BIN)/python examples/demo.py $(if $(KEEP),--keep)

lint: setup      ## style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint       ## everything CI runs
	$(BIN)/python -m pytest -m 'not soak' -n $(WORKERS) --dist worksteal

soak: setup      ## the long checks
	$(BIN)/python -m pytest -m soak

bench: setup     ## every benchmark, each printing its table
	for b in benchmarks/*.py; do $(BIN)/python $$b || exit 1; done

clean:           ## remove what the other targets made
	rm -rf $(VENV) build dist *.egg-info var
