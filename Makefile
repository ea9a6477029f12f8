# Everything a person does here is one word. `make help` lists them.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
# The first interpreter that is new enough; override with `make PYTHON=/path/to/python3.12 ...`.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
ARGS ?=
export DAGSTER_DISABLE_TELEMETRY := 1
export GX_ANALYTICS_ENABLED := false
# The system's own certificates, as pip takes them: behind a company's proxy no others hold.
UV_INSTALL := $(BIN)/uv pip install --system-certs --quiet --python $(PY) --require-hashes

.PHONY: help install install-dev demo up test lint unit bench bench-research torture mutation docs lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

install: $(VENV)/.installed $(BIN)/nhmm ## Create .venv with the locked packages and the nhmm command

install-dev: install $(VENV)/.installed-dev ## The same with what the checks need

demo: install ## Run the main job end to end on the simulated exchange (ARGS="--json --seconds 120")
	@$(BIN)/nhmm demo $(ARGS)

up: install ## Run exchange, engine and Dagster until Ctrl-C
	@$(BIN)/nhmm up $(ARGS)

test: install-dev ## Lint, types, import contracts and every test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(PY) -m pytest -n 2 $(ARGS)

lint: install-dev ## Lint, types and import contracts only
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

unit: install-dev ## The quick tests only
	@$(PY) -m pytest -n 2 tests/unit tests/architecture $(ARGS)

bench: install-dev ## Measure ourselves against peers in one run (ARGS=--json)
	@$(PY) -m tests.benchmarks $(ARGS)

bench-research: install-dev ## Measure the research half against peers in one run (ARGS=--json)
	@$(PY) -m tests.research_benchmarks $(ARGS)

torture: install-dev ## Break the engine in every way we know, and count what broke (QUICK=1 ARGS="--only sigkill")
	@$(PY) -m tests.faults $(if $(QUICK),--quick) $(ARGS)

mutation: install-dev ## Make one mistake at a time in rails, state machine, ledger, keys; count those no test sees (ARGS="--sample 100")
	@$(PY) -m tests.mutation $(ARGS)

docs: install-dev ## Write the generated pages of docs/ again
	@$(PY) -m tests.architecture.reference

lock: $(VENV)/.uv ## Resolve requirements*.in again into the hash-locked files
	@for name in uv requirements requirements-dev; do \
		case $$name in uv) out=requirements-uv; in=requirements-uv.in;; *) out=$$name; in=$$name.in;; esac; \
		$(BIN)/uv pip compile $$in -o $$out.lock --quiet --universal --generate-hashes --no-emit-index-url \
			--no-emit-find-links --no-header --no-annotate --python-version 3.11; done

clean: ## Remove everything that this Makefile made (data/ too)
	rm -rf $(VENV) data .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/.created:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; none was found on PATH." >&2; exit 1; }
	@echo "creating $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.uv: $(VENV)/.created requirements-uv.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@touch $@

$(VENV)/.installed: $(VENV)/.uv requirements.lock
	@echo "installing the locked packages (about a gigabyte the first time)"
	@$(UV_INSTALL) -r requirements.lock
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	@echo "installing the packages that only the checks need"
	@$(UV_INSTALL) -r requirements-dev.lock
	@touch $@

# The command runs the checkout itself, so that an edit is live without another install.
$(BIN)/nhmm: $(VENV)/.installed Makefile
	@printf '%s\n' '#!$(CURDIR)/$(PY)' 'import sys' 'sys.path.insert(0, "$(CURDIR)")' \
		'from orchestration.cli.app import main' 'sys.exit(main())' > $@
	@chmod +x $@
