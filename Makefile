# Two commands do everything on a fresh Debian machine, as root: make demo, make test.
SHELL := /bin/bash
UV := .state/tools/bin/uv
RUN := $(UV) run --frozen
export UV_PYTHON_DOWNLOADS := never

.PHONY: help setup demo examples test check bench fresh sim

help:            ## what there is to type
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*##/\t/'

setup:           ## install what the machine lacks; safe to interrupt and to repeat
	@tools/setup

demo: setup      ## the main job, on real parts: plan, run at three sites, move, retire
	@$(RUN) hanse demo run

examples: setup  ## applications that nobody here wrote, moved while they are used; one JSON line each
	@$(RUN) python -m tools.examples $(ONLY)

test: setup      ## all tests, on real parts
	@$(RUN) pytest -n 3 --dist loadgroup

check: setup     ## ruff, mypy strict, import-linter, tidy
	@$(RUN) ruff check . && $(RUN) ruff format --check . && $(RUN) mypy && $(RUN) lint-imports && $(RUN) python tools/tidy.py

bench: setup     ## figures, one JSON object a line
	@for bench in bench/[a-z]*.py; do name=$$(basename $$bench .py); $(RUN) python -m bench.$$name || exit 1; done

sim: setup       ## replay one seed of the simulation: make sim SEED=7
	@$(RUN) python -m tests.simulation $(SEED)

fresh:           ## the two commands in a throw-away Debian root
	@tools/fresh
