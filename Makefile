# Sets up .venv in this folder from the lock file, and uses nothing else.
.DEFAULT_GOAL := help
.PHONY: help report test bench fuzz verify lab docs data check lock picture

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

help: ## say what each target does
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /  make \1|/' | column -t -s '|'

$(READY): requirements.lock pyproject.toml
	@echo "Setting up $(VENV): a few minutes the first time …"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q kzresearch  # as pip does with what it installs
	@touch $@

report: $(READY) ## run every notebook on the bundled data and write the pages, with an index, into out/
	@$(BIN)/kzresearch report

test: $(READY) ## run the tests
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

bench: $(READY) ## measure speed and memory, as ratios within one run
	@$(BIN)/python -m tests.bench

SECONDS ?= 120
fuzz: $(READY) ## read workbooks broken at random, for SECONDS (120), by a SEED or a new one
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

verify: $(READY) ## prove that the report's outputs do not depend on hash seed, time zone, locale, threads or engine
	@$(BIN)/python -m tests.settings

lab: $(READY) ## open the notebooks in JupyterLab; copies of them in Russian or Kazakh with language=ru, kk
	@$(BIN)/kzresearch lab $(if $(language),kzresearch-notebooks/$(language) --language $(language),notebooks)

docs: $(READY) ## build the documentation as a site, to be read without a network, into out/docs
	@$(BIN)/sphinx-build --quiet --fail-on-warning --fresh-env --doctree-dir out/doctrees docs out/docs
	@echo "wrote out/docs/index.html"

data: $(READY) ## build the tables in data/ again from the raw files (KZRESEARCH_RAW, or downloaded)
	@$(BIN)/kzresearch build

check: $(READY) ## lint, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

lock: $(READY) ## renew requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --extra cluster --extra lab --extra docs --extra dev \
	  --output-file requirements.lock --upgrade pyproject.toml

picture: $(READY) ## draw docs/report.png again (needs chromium)
	@rm -rf out/picture && $(BIN)/kzresearch run case_flow --out out/picture >/dev/null
	@chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=900,1600 \
	  --user-data-dir=out/picture/profile --virtual-time-budget=4000 --screenshot=$(CURDIR)/docs/report.png \
	  file://$$(ls $(CURDIR)/out/picture/case_flow-*.html) >/dev/null 2>&1
	@echo "wrote docs/report.png"
