# One command each, on a machine with nothing but make and Python 3.11 or newer.
#
# Everything is installed into .venv beside this file and nowhere else. Stamp files in it say what is
# installed, so a second call starts at once and a changed requirements file is installed again. Delete .venv to
# start afresh. Another Python: make app PYTHON=python3.12. Another port: make app PORT=8600.

PYTHON ?= python3
PORT ?= 8501
ARGS ?=

VENV := .venv
PY := $(VENV)/bin/python
APP := $(VENV)/.app-installed
DEV := $(VENV)/.dev-installed
BENCH := $(VENV)/.bench-installed
UNFINISHED := $(VENV)/.unfinished

# An environment that was cut off while pip wrote into it, or whose Python is gone or too old, is made anew;
# a whole one that someone made by hand is kept.
WHOLE := $(shell test ! -e $(UNFINISHED) && $(PY) -c "import sys, pip; sys.exit(sys.version_info < (3, 11))" 2>/dev/null && echo yes)

# A pip that ends by itself (no network, say) has put things in order; one that is interrupted may not have, and
# then the mark stays. The trap is for shells that would go on after Ctrl-C.
define install
@touch $(UNFINISHED)
@trap 'exit 130' INT TERM; $(PY) -m pip install --disable-pip-version-check -r $<; code=$$?; rm -f $(UNFINISHED); exit $$code
@touch $@
endef

.PHONY: help app test check bench weights screenshots new-venv
.DEFAULT_GOAL := help

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

app: $(APP) ## install what the lab needs and start it on http://localhost:8501
	$(PY) -m streamlit run app.py --server.port $(PORT) $(ARGS)

test: $(DEV) ## install what the tests need and run them, two at a time (ARGS="-k runs" picks some)
	$(PY) -m pytest -n 2 --dist loadgroup $(ARGS)

check: $(DEV) ## lint, formatting, types and import contracts
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports --no-logo

bench: $(BENCH) ## measure the lab beside its peers, into benchmarks/results (ARGS="--quick" for a look)
	$(PY) -m benchmarks $(ARGS)

weights: $(APP) ## train the models in weights/ again, from the real data
	$(PY) -m aecore weights $(ARGS)

screenshots: $(DEV) ## make the pictures in docs/images again (needs Chromium)
	PYTHONPATH=. $(PY) tests/screenshots.py

$(APP): requirements.txt $(if $(WHOLE),,new-venv)
	$(install)

$(DEV): requirements-dev.txt $(APP)
	$(install)

$(BENCH): requirements-bench.txt $(DEV)
	$(install)

new-venv:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "There is no '$(PYTHON)' here. The lab needs Python 3.11 or newer: install it," >&2; \
	  echo "or say where it is: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { \
	  echo "'$(PYTHON)' is $$($(PYTHON) --version 2>&1). The lab needs Python 3.11 or newer: install it," >&2; \
	  echo "or say where it is: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c "import venv, ensurepip" 2>/dev/null || { \
	  echo "'$(PYTHON)' has no venv module, so it cannot make the lab's own environment." >&2; \
	  echo "On Debian or Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	rm -rf $(VENV)
	@mkdir $(VENV) && touch $(UNFINISHED)
	$(PYTHON) -m venv $(VENV)
