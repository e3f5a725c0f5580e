# make demo   installs into .venv, makes the data, trains, evaluates, draws
# make test   installs what is missing, runs the tests in WORKERS processes
# make test-all   as well those marked nightly, which train the same again
# PYTHON=python3.11 chooses the interpreter, VENV=dir the environment: an
# existing one keeps its own torch, torchvision and mmcv. PIP_ARGS goes to pip.
PYTHON ?= python3
VENV ?= .venv
TASK ?= seg
PIP_ARGS ?=
WORKERS ?= 2
PYTEST_ARGS ?=

BIN := $(VENV)/bin
INSTALL = $(BIN)/python tools/install.py --pip-args="$(PIP_ARGS)"
REQUIREMENTS := $(wildcard requirements/*.txt) setup.py tools/install.py

PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

.PHONY: demo test test-all lint clean

demo: $(VENV)/.genpercept_$(if $(filter pose,$(TASK)),pose,demo)
	$(BIN)/python tools/demo.py --task $(TASK)

test: $(VENV)/.genpercept_test
	$(BIN)/python -m genpercept_mm.env
	$(PYTEST) $(PYTEST_ARGS)

test-all: $(VENV)/.genpercept_test
	$(BIN)/python -m genpercept_mm.env
	$(PYTEST) -m "" $(PYTEST_ARGS)

lint: $(VENV)/.genpercept_test
	$(BIN)/ruff check .

clean:
	rm -rf .venv build dist *.egg-info genpercept_mm/.mim work_dirs
	rm -rf data/mini_hypersim data/mini_objects data/mini_people .dist_test .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.genpercept_demo: $(REQUIREMENTS) | $(BIN)/python
	$(INSTALL) --groups mini dis
	touch $@

$(VENV)/.genpercept_pose: $(REQUIREMENTS) | $(BIN)/python
	$(INSTALL) --groups mini dis hosts
	touch $@ $(VENV)/.genpercept_demo

$(VENV)/.genpercept_test: $(REQUIREMENTS) | $(BIN)/python
	$(INSTALL) --groups mini dis export hosts tests
	touch $@ $(VENV)/.genpercept_demo $(VENV)/.genpercept_pose
