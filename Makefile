# make app    opens the app            make test   runs every test, in a real browser too
# make lint   format, lint, types      make bench  prints the speed ratios

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: app test lint bench browser

app: $(VENV)/.app-ready
	$(BIN)/streamlit run app.py

test: $(VENV)/.test-ready browser
	$(BIN)/python -m pytest -q -n 2 --dist worksteal --ignore-glob='*_in_browser.py'
	$(BIN)/python -m pytest -q -n 3 --dist worksteal tests/*_in_browser.py

lint: $(VENV)/.test-ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.app-ready
	$(BIN)/python -m benchmarks.stages
	$(BIN)/python -m benchmarks.nearest
	$(BIN)/python -m benchmarks.index

$(VENV)/.app-ready: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --requirement requirements.txt
	touch $@

$(VENV)/.test-ready: requirements-dev.txt requirements-scale.txt requirements-upstream.txt $(VENV)/.app-ready
	$(BIN)/pip install --quiet --requirement requirements-dev.txt
	$(BIN)/pip install --quiet --no-deps --requirement requirements-upstream.txt
	touch $@

browser: $(VENV)/.test-ready
	@$(BIN)/python -m tests.get_browser
	@$(BIN)/python -m tests.get_nginx
