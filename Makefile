# Every habit of this project is one target: `make` lists them. Each sets up what it needs in .venv by itself.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What runs, and what tests, builds and load tests need beside it.
RUN := $(VENV)/.ready
DEV := $(VENV)/.dev
# uv where it is installed, otherwise the one that the virtual environment got.
UV := PATH="$$PATH:$(BIN)" uv
INSTALL := $(UV) pip install -q --python $(BIN)/python --no-build-isolation --no-deps -e . -e workloads/words
SYNC := $(UV) pip sync -q --python $(BIN)/python --require-hashes --only-binary :all:
# For the oldest Python that does, whichever makes the lock.
COMPILE := $(UV) pip compile -q --universal --python-version 3.11 --only-binary :all: --generate-hashes \
  --no-annotate --no-header --no-emit-package essaim --upgrade --extra server

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z.-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Progress goes to standard error: `make services` is evaluated by a shell.
$(VENV)/.made:
	@echo "Creating $(VENV) ..." >&2
	@if command -v uv >/dev/null; then uv venv -q --allow-existing --python $(PYTHON) $(VENV); \
	else $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install -q --disable-pip-version-check --only-binary :all: uv; fi
	@touch $@

$(RUN): requirements.lock pyproject.toml workloads/words/pyproject.toml | $(VENV)/.made
	@echo "Installing $$(grep -c '^[a-z].*==' $<) packages into $(VENV), once; a slow network takes minutes ..." >&2
	@rm -f $(DEV)
	@$(SYNC) requirements.lock
	@$(INSTALL)
	@touch $@

$(DEV): requirements-dev.lock requirements.lock pyproject.toml workloads/words/pyproject.toml | $(VENV)/.made
	@echo "Installing $$(grep -c '^[a-z].*==' $<) packages into $(VENV), for tests too, once; a slow network takes minutes ..." >&2
	@rm -f $(RUN)
	@$(SYNC) requirements-dev.lock
	@$(INSTALL)
	@touch $(RUN) $@

.PHONY: demo
demo: $(RUN) ## see it work: a big search, workers 0 -> N -> 0, in about a minute
	@$(BIN)/essaim demo

.PHONY: run
run: $(RUN) ## API and workers on this machine, at http://127.0.0.1:8080, until Ctrl-C
	@$(BIN)/essaim up

.PHONY: services services-down
services: $(RUN) ## RabbitMQ, MongoDB and S3 for this checkout, and the exports that lead to them: eval "$(make -s services)"
	@PYTHON=$(BIN)/python ./services.sh up
services-down: ## end them; their data stays
	@./services.sh down

.env: ## random secrets for services and for compose.yaml
	@./services.sh env

.PHONY: lint
lint: $(DEV) ## style, types and architecture, without running anything
	@$(BIN)/ruff check -q
	@$(BIN)/ruff format -q --check
	@$(BIN)/mypy
	@report=$$($(BIN)/lint-imports --no-cache) || { echo "$$report"; exit 1; }

.PHONY: fix
fix: $(DEV) ## let the tools repair what they can
	@$(BIN)/ruff check -q --fix
	@$(BIN)/ruff format -q

.PHONY: test
test: export PYTHONDONTWRITEBYTECODE = # the hundreds of processes that tests start need not compile the same each
test: lint ## everything that must hold, without a cluster
	@$(BIN)/pytest -q -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: kustomize
kustomize: ## the tool that tests of platform/ need, into .venv, where neither it nor kubectl is installed; needs Go
	@command -v kustomize kubectl >/dev/null || \
	  GOBIN="$(CURDIR)/$(BIN)" go install sigs.k8s.io/kustomize/kustomize/v5@v5.7.1

.PHONY: dashboards logql
dashboards: $(DEV) ## what Grafana shows, made from dashboards/
	@$(BIN)/python -m dashboards
logql: ## Grafana's grammar of LogQL, which tests of the dashboards need; with npm
	@npm ci --silent --no-fund --no-audit --prefix tests/lezer

.PHONY: test-cluster
test-cluster: $(DEV) ## what must hold on a real cluster, the one of KUBECONFIG, in namespaces of its own
	@ESSAIM_TEST_CLUSTER=1 $(BIN)/pytest -q -s tests/cluster

.PHONY: test-compose
test-compose: $(DEV) ## what must hold with Docker, for compose.yaml as it stands, in a project of its own
	@ESSAIM_TEST_COMPOSE=1 $(BIN)/pytest -q -n 0 tests/compose

.PHONY: cluster-up cluster-down
cluster-up: ## a cluster with KEDA and Knative on this machine, by kind
	@tests/cluster/kind.sh up
cluster-down: ## remove it
	@tests/cluster/kind.sh down

.PHONY: chaos
chaos: JOBS := 2000
chaos: SEED := 1
chaos: $(DEV) ## a long storm of kills, with a table of what it survived; JOBS=2000 SEED=1
	@ESSAIM_TEST_CHAOS_JOBS=$(JOBS) ESSAIM_TEST_CHAOS_SEED=$(SEED) $(BIN)/pytest -q tests/chaos

.PHONY: screenshots
screenshots: $(DEV) ## the pictures in docs/images, of the live page in a real run; needs Chromium
	@$(BIN)/python -m tests.browser.screenshots docs/images

.PHONY: bench
bench: $(DEV) ## measured claims: search, scaling, stores, jobs per second, telemetry, plan; against ripgrep and other queues
	@$(BIN)/python loadtests/bench_search.py
	@$(BIN)/python loadtests/bench_local.py
	@$(BIN)/python loadtests/bench_store.py
	@$(BIN)/python loadtests/bench_pipeline.py
	@$(BIN)/python loadtests/bench_telemetry.py
	@$(BIN)/python loadtests/bench_plan.py

.PHONY: load
load: SHAPE := waves
load: $(DEV) ## let jobs come in waves, a spike, a ramp or a soak, and draw what it did, in 90 seconds: SHAPE=waves ARGS=
	@$(BIN)/python -m loadtests.load --shape $(SHAPE) $(ARGS)

.PHONY: odds
odds: $(RUN) ## how often a rollout errs: 10,000 simulated ones of equal and of worse releases
	@$(BIN)/essaim rollout odds

ENGINE ?= $(shell command -v docker || command -v podman || command -v buildah)
TAG ?= essaim:dev

.PHONY: image
image: ## build the image of API and workers: TAG=essaim:dev, with docker, podman or buildah
	@test -n "$(ENGINE)" || { echo "make image needs docker, podman or buildah" >&2; exit 1; }
	@$(ENGINE) build --tag $(TAG) --build-arg VERSION=$(lastword $(subst :, ,$(TAG))) \
	  --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null) .
	@$(ENGINE) images $(firstword $(subst :, ,$(TAG)))

.PHONY: lock
lock: $(VENV)/.made ## pin the dependencies of pyproject.toml again: what runs, and what tests need beside it
	@$(COMPILE) --group build pyproject.toml workloads/words/pyproject.toml -o requirements.lock
	@$(COMPILE) --group build --group dev --constraint requirements.lock pyproject.toml workloads/words/pyproject.toml -o requirements-dev.lock

.PHONY: clean
clean: ## remove the virtual environment, caches and local data
	@ENGINES= ./services.sh down
	@rm -rf $(VENV) .essaim .mypy_cache .ruff_cache .pytest_cache .hypothesis .schemathesis dist build
