# Everything is installed into .venv beside this file; only pip needs a network.
# Another interpreter: make demo PYTHON=/path/to/python3.12

VENV := .venv
RUN := $(VENV)/bin/python -m
# Python compiles what is imported when it is first imported; to compile all of it took half the time.
PIP := $(RUN) pip --disable-pip-version-check install --quiet --no-compile

export MPLBACKEND := agg
export MPLCONFIGDIR := $(CURDIR)/$(VENV)/matplotlib
export PYTHONNOUSERSITE := 1

.PHONY: help demo test browser lint check bench bench-scale faults cluster-test validate docs fuzz package clean
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help:  ## what there is to make
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 16

demo: $(VENV)/.installed-connectrial  ## a simulated trial, analysed from files to report (demo-trial/)
	$(VENV)/bin/connectrial demo demo-trial
	@find demo-trial -name report.html | sed "s|^|The report: $$(pwd)/|"

# In CI the order of tests is the same for the same tree, and the dear ones are named.
test: $(VENV)/.installed-test  ## the tests
	$(RUN) pytest -n auto --dist loadfile --no-loadscope-reorder $(if $(CI),-p randomly --randomly-seed=20210122 --reruns 1 --durations=40 --durations-min=4)

lint: $(VENV)/.installed-dev  ## style, types, and who may import whom
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy $(if $(CI),--no-incremental)
	$(VENV)/bin/lint-imports

browser: $(VENV)/.installed-test-browser  ## reports in a headless Chromium; skips where there is none
	$(RUN) pytest tests/browser -n 2 --dist loadgroup $(if $(CI),--reruns 1)

check: lint browser  ## lint, tests, browser tests: all that must pass before a change goes in
	$(RUN) pytest

bench: $(VENV)/.installed-dev  ## speed: every bench/bench_*.py
	@set -e; for script in bench/bench_*.py; do \
	  case "$$script" in bench/bench_scale.py) continue ;; esac; \
	  if [ -e "$$script" ]; then echo "== $$script"; $(VENV)/bin/python "$$script"; \
	  else echo "There is no bench/bench_*.py yet."; fi; done

# An hour of work and 6 GB of disk; what is measured is kept in bench/.cells.
bench-scale: $(VENV)/.installed-dev  ## 2,000 scans, and 500 people x 4 visits x 77,421 edges
	$(VENV)/bin/python bench/bench_scale.py

faults: $(VENV)/.installed-test  ## runs that are killed, starved and forbidden; afterwards all tables are right
	$(VENV)/bin/python bench/faults.py

cluster-test: $(VENV)/.installed-test-cluster  ## a study on a real SLURM of one node (root, slurm-wlm, munge), and on Dask
	$(VENV)/bin/python tests/cluster/try_slurm.py
	$(RUN) pytest tests/cluster

# Hours of work: what is done is kept in bench/.cells, so that it can be stopped and continued.
validate: $(VENV)/.installed-dev  ## error rates and coverage by simulation: every bench/validate_*.py
	@set -e; for script in bench/validate_*.py; do \
	  if [ -e "$$script" ]; then echo "== $$script"; \
	  $(VENV)/bin/python "$$script" --resume "bench/.cells/$$(basename "$$script" .py).jsonl"; \
	  else echo "There is no bench/validate_*.py yet."; fi; done

docs: $(VENV)/.installed-docs  ## the documentation (docs/_build/html/index.html)
	$(RUN) sphinx -W --keep-going -b html docs docs/_build/html
	@echo "The documentation: $$(pwd)/docs/_build/html/index.html"

# Longer: make fuzz FUZZ_SECONDS=36000. What is found becomes a case of tests/hostile/found.py.
FUZZ_SECONDS ?= 900
fuzz: $(VENV)/.installed-fuzz  ## mutations of every input file against its parser (15 minutes)
	cd tests && nice -n 10 ../$(VENV)/bin/python -m hostile.fuzz --seconds $(FUZZ_SECONDS) --found ../fuzz-found

# Other Pythons, fetched by uv where they are not there: make package PYTHONS="3.11 3.14"
PYTHONS ?= 3.11 3.12 3.13 3.14
package: $(VENV)/.installed-package  ## wheel and sdist, installed and tried in empty environments
	$(VENV)/bin/python packaging/check_package.py $(PYTHONS:%=--python %) --oldest 3.11

clean:  ## remove what was made here, the environment too
	rm -rf $(VENV) bench/.cells demo-trial build dist docs/_build docs/generated docs/gallery
	rm -rf docs/sg_execution_times.rst .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests docs bench -name __pycache__ -type d -prune -exec rm -rf {} +

# --------------------------------------------------------------------------------------------
# The environment. A stamp says what is installed; a changed pyproject.toml installs again.

$(VENV)/.installed-connectrial: pyproject.toml $(VENV)/.made
	@echo "Installing connectrial into $(VENV) ..."
	@$(PIP) --editable .
	@touch $@

$(VENV)/.installed-%: pyproject.toml $(VENV)/.made
	@echo "Installing connectrial and what $* needs into $(VENV) ..."
	@$(PIP) --editable ".[$*]"
	@touch $@ $(VENV)/.installed-connectrial

# All that .ci/run needs, resolved once.
$(VENV)/.installed-ci: pyproject.toml $(VENV)/.made
	@echo "Installing connectrial and what its checks need into $(VENV) ..."
	@$(PIP) --editable ".[ci]"
	@touch $@ $(patsubst %,$(VENV)/.installed-%,connectrial test test-browser test-cluster dev docs)

# A command of a version manager may stand on PATH and yet not run, so each candidate is tried.
$(VENV)/.made:
	@set -eu; \
	if "$(VENV)/bin/python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then touch $@; exit 0; fi; \
	if [ -n "$${PYTHON:-}" ]; then set -- "$$PYTHON"; \
	else set -- python3 python3.13 python3.12 python3.11 python3.14 python; fi; \
	seen=""; \
	for candidate; do \
	  version=$$("$$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue; \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
	    if "$$candidate" -c 'import ensurepip, venv' 2>/dev/null; then \
	      echo "Making $(VENV) with $$candidate (Python $$version) ..."; \
	      "$$candidate" -m venv --clear "$(VENV)"; touch $@; exit 0; \
	    else seen="$$seen $$candidate is $$version but has no venv module (Debian, Ubuntu: apt install python$$version-venv);"; fi; \
	  else seen="$$seen $$candidate is $$version, which is too old;"; fi; \
	done; \
	echo "connectrial needs Python 3.11 or newer, and none was found:$${seen:- no Python that runs;}" >&2; \
	echo "install one (python.org, your package manager, or conda), or name it: make demo PYTHON=/path/to/python3.12" >&2; \
	exit 2
