# The commands of the project; `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
# A folder of one's own has a run of its own; it is named as in demo/quickstart/__main__.py.
NOTHING :=
SPACE := $(NOTHING) $(NOTHING)
RUN = runs/quickstart$(if $(DATA),-$(lastword $(subst /,$(SPACE),$(subst $(SPACE),_,$(DATA)))))
export VENV PYTHON
# Threads that wait by spinning slow each other down tenfold when anything else runs.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help install quickstart demo test lint types check fuzz plugins test-plugins engines test-engines format clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

install: ## make .venv and install omni with what runs on any machine
	@.ci/install all,dev

quickstart: install ## fetch starter weights and data, train two adapters, evaluate, combine, report (DATA=folder for your own files)
	@$(VENV)/bin/python -m demo.quickstart --output "$(RUN)" $(if $(DATA),--data "$(DATA)")

demo: install ## chat with what the quickstart trained (DATA=folder: on that folder)
	@$(VENV)/bin/python -m demo --model "$(RUN)/model"

test: install lint types check ## lint, types and tests: what CI runs

lint: install
	@$(VENV)/bin/ruff check --no-cache .
	@$(VENV)/bin/ruff format --check .

types: install
	@$(VENV)/bin/pyright

check: install
	@$(VENV)/bin/python -m omni fetch --quiet
	@$(VENV)/bin/python -m pytest

fuzz: install ## damaged media, rows, recipes and weights by the thousand; minutes to hours
	@$(VENV)/bin/python -m tests.fuzz loaders 1000
	@$(VENV)/bin/python -m tests.fuzz encoders 1000
	@$(VENV)/bin/python -m tests.fuzz_rows all 1000
	@$(VENV)/bin/python -m tests.fuzz_recipes 2000
	@$(VENV)/bin/python -m tests.fuzz_weights

plugins: ## make .venv-lmms-eval and .venv-mteb: omni with the evaluation frames of others (docs/plugins.md)
	@.ci/install --plugin lmms-eval
	@.ci/install --plugin mteb
	@$(VENV)-mteb/bin/python .ci/plugins/link-ffmpeg $(VENV)-mteb/ffmpeg

test-plugins: plugins ## the tests of omni in these frames, by their own code; some minutes
	@$(VENV)-lmms-eval/bin/python -m pytest -rs -m plugins tests/eval/plugins/lmms_eval
	@LD_LIBRARY_PATH="$(abspath $(VENV)-mteb/ffmpeg)" $(VENV)-mteb/bin/python -m pytest -rs -m plugins tests/eval/plugins/mteb tests/omni/exporting

engines: ## make .venv-vllm: vLLM for a CPU, to test against (docs/deployment.md)
	@.ci/engines

test-engines: install engines ## the tests of answers by a vLLM server; some minutes
	@$(VENV)/bin/python -m pytest -rs -m engines tests/omni/answering/engine

format: install ## apply the formatter
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

clean: ## remove the environment and what runs wrote
	rm -rf $(VENV) $(VENV)-lmms-eval $(VENV)-mteb $(VENV)-vllm runs .pytest_cache .ruff_cache
