# Verbs: setup, demo, experiment, test, docs, lint, check. Each makes what it needs; a second `setup` is instant.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
# A worker for each core, and the tests of a file in one of them, in the order of the files: files of one long test would
# else come last, when nobody has anything to do beside them. Threads that wait for each other leave it to the others.
TEST := OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile \
  --no-loadscope-reorder

.PHONY: setup demo experiment test docs lint check

setup: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "mldfr needs Python 3.11 or later; name one with: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || \
	  { echo "this Python cannot make virtual environments; on Debian: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $(STAMP)

demo: setup
	$(BIN)/python examples/demo.py --out demo

experiment: setup
	$(BIN)/python examples/creatures.py --out demo

test: setup
	$(TEST)

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "open site/index.html, or read along while writing: $(BIN)/mkdocs serve"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check: lint
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(TEST)
