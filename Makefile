# Every habit of this project is one target. `make` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHONUNBUFFERED := 1

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# uv where it is installed; otherwise it is put into the virtual environment first.
$(VENV)/.run: requirements.lock pyproject.toml
	@command -v uv >/dev/null 2>&1 && uv venv -q --allow-existing --python $(PYTHON) $(VENV) \
	  || { $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install -q --disable-pip-version-check uv; }
	@PATH="$(BIN):$$PATH" uv pip install -q --python $(BIN)/python --require-hashes -r requirements.lock
	@PATH="$(BIN):$$PATH" uv pip install -q --python $(BIN)/python --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	@PATH="$(BIN):$$PATH" uv pip install -q --python $(BIN)/python --require-hashes -r requirements-dev.lock
	@touch $@
