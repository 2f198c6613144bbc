# Every task of the house. It keeps to what GNU make 3.81 knows, which is what macOS ships.

# Another environment beside it, for another Python: make test VENV=.venv-3.13 PYTHON=python3.13
VENV := .venv
BIN := $(VENV)/bin

# Extra arguments for pytest, for example: make test PYTEST_ARGS="-n 2 tests/unit"
PYTEST_ARGS ?=

# Of the measurement, for example: make bench BENCH_ARGS='--workers celery --broker rabbitmq --only post'
BENCH_ARGS ?=

# Of the comparison, for example: make compare COMPARE_ARGS='--with main~20 --only one'
COMPARE_ARGS ?=

# Of a release, for example: make release RELEASE_ARGS='--without 3.13'
RELEASE_ARGS ?=

# A Python that can do the job: new enough, and able to build a virtual environment (Debian splits that off).
# It is run, not only found: a shim may stand for a version that is not there.
FITS := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
WHICH := import sys; print(sys.base_prefix, sys.version)

# Tests that make check runs, and make test therefore does not.
SHAPE := tests/test_shape.py tests/test_licences.py tests/test_pins.py

# A stamp for each step: the demo needs the first two alone, and an edit of pyproject.toml installs no library again.
RUNTIME := $(VENV)/.runtime
PROJECT := $(VENV)/.project
LIBRARIES := $(VENV)/.libraries

ifeq ($(origin PYTHON),undefined)
PYTHON := $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c '$(FITS)' >/dev/null 2>&1 && { echo $$python; break; }; done)
else
# Asked for another Python than the one at hand: build anew.
ifneq ($(shell $(PYTHON) -c '$(WHICH)' 2>/dev/null),$(shell $(BIN)/python -c '$(WHICH)' 2>/dev/null))
$(shell rm -f $(RUNTIME))
endif
endif

# A virtual environment holds absolute paths: build anew where it was moved, or where its Python has gone.
ifneq ($(shell test -x $(BIN)/python && cat $(RUNTIME) 2>/dev/null),$(CURDIR))
$(shell rm -f $(RUNTIME))
endif

# Thousands of stores are made by the tests, and synced: in memory where it has room for them, and runs programs.
MEMORY = $(shell grep -q ' /dev/shm .*noexec' /proc/mounts 2>/dev/null || \
	df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 4000000 { print $$6 }')

# Hundreds of programs are started by the tests, and each would compile all its source again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test check types lint contracts shape audit wheels test-cluster test-faults docs pages site torture bench bench-peers openapi compare format lock servers release-tools sbom release clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: $(PROJECT) $(LIBRARIES) ## Build .venv with everything in it (quick when nothing has changed)
	@:

# The libraries of Collator itself, and what builds it; pip tells how far it is.
$(RUNTIME): requirements.txt
	@test -n '$(PYTHON)' || { echo 'Collator needs Python 3.11 or later, with venv and ensurepip' \
		'(Debian: apt-get install python3-venv). If yours has another name: make setup PYTHON=...' >&2; exit 1; }
	@$(PYTHON) -c '$(FITS)' || { echo '$(PYTHON) does not do: Collator needs Python 3.11 or later,' \
		'with venv and ensurepip.' >&2; exit 1; }
	$(PYTHON) .ci/environment $(VENV) requirements.txt
	@echo '$(CURDIR)' >$@

# The libraries above hold the build tools too, so nothing is fetched here that is not pinned.
$(PROJECT): $(RUNTIME) pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# What develops and tests it, the same versions among it.
$(LIBRARIES): $(RUNTIME) requirements-dev.txt | $(PROJECT)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

demo: $(PROJECT) ## Show the whole flow on this machine
	$(BIN)/collator demo

test: setup ## Run the tests that need no root, but those of check (about 12 minutes on two cores)
	TMPDIR="$${TMPDIR:-$(MEMORY)}" $(BIN)/python -m pytest -m 'not faults and not cluster' $(SHAPE:%=--ignore=%) \
		-n 4 --dist worksteal $(PYTEST_ARGS)

check: setup ## Run lint, format, types, import contracts and shape (at most 1 minute)
	@$(MAKE) --no-print-directory --jobs=2 types lint contracts shape audit

# The parts of check. Types take as long as all others, so these run beside them.
types: setup
	$(BIN)/mypy

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

contracts: setup
	$(BIN)/lint-imports

shape: setup
	$(BIN)/python -m pytest $(SHAPE)

# An environment of its own: none of the thirty libraries of pip-audit is needed for anything else.
.audit-venv/.libraries: requirements-audit.txt
	$(if $(PYTHON),$(PYTHON),$(BIN)/python) .ci/environment .audit-venv $< --quiet
	@touch $@

# Another one: servers of the field, which the processor is tried with, and what says whether files of others are valid.
# Without it their tests are skipped.
.servers-venv/.libraries: requirements-servers.txt
	$(if $(PYTHON),$(PYTHON),$(BIN)/python) .ci/environment .servers-venv $< --quiet
	@touch $@

# With no address in the lock, npm asks the registry that it knows. Nothing of a package is run while it is installed.
.servers-node/.libraries: examples/receivers/express/package.json examples/receivers/express/package-lock.json
	@mkdir -p .servers-node && cp $^ .servers-node
	@if command -v npm >/dev/null; then npm ci --prefix .servers-node --ignore-scripts --no-audit --no-fund --loglevel=error; \
		else echo 'There is no npm: the test of the receiver in Express is skipped.' >&2; fi
	@touch $@

servers: .servers-venv/.libraries .servers-node/.libraries ## Install the servers and validators that tests call (150 MB)
	@:

# One for what makes a release, and says whether it is fit to be uploaded. Without it the tests of that are skipped.
.release-venv/.libraries: requirements-release.txt
	$(if $(PYTHON),$(PYTHON),$(BIN)/python) .ci/environment .release-venv $< --quiet
	@touch $@

release-tools: .release-venv/.libraries ## Install what makes a release and checks it (80 MB)
	@:

sbom: setup release-tools ## Write what Collator is installed with as SBOMs (CycloneDX) in dist/
	@mkdir -p dist
	.release-venv/bin/python .ci/sbom $(BIN)/python dist

release: setup release-tools ## Build, check and try a release of this commit in dist/ (RELEASING.md)
	.release-venv/bin/python .ci/release $(RELEASE_ARGS)

# And one for what Collator is measured beside.
.peers-venv/.libraries: requirements-peers.txt
	$(if $(PYTHON),$(PYTHON),$(BIN)/python) .ci/environment .peers-venv $< --quiet
	@touch $@

.peers-node/.libraries: bench/peers/package.json bench/peers/package-lock.json
	@mkdir -p .peers-node && cp $^ .peers-node
	@if command -v npm >/dev/null; then npm ci --prefix .peers-node --ignore-scripts --no-audit --no-fund --loglevel=error; \
		else echo 'There is no npm: peers that need what it installs are skipped.' >&2; fi
	@touch $@

# And programs of npm, which the description of the API is given to; their tests are skipped without them.
.openapi-node/.libraries: .ci/openapi/package.json .ci/openapi/package-lock.json
	@mkdir -p .openapi-node && cp $^ .openapi-node
	npm ci --prefix .openapi-node --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

openapi: setup servers .openapi-node/.libraries ## Give the description of the API to generators and linters (needs npm)
	$(BIN)/python -m pytest tests/acceptance/test_generators.py $(PYTEST_ARGS)

bench-peers: setup .peers-venv/.libraries .peers-node/.libraries ## Measure the same job by other means beside Collator
	$(BIN)/python -m bench.peers $(BENCH_ARGS)

audit: .audit-venv/.libraries ## Look the pinned libraries up in a database of known vulnerabilities
	.ci/audit .audit-venv/bin/pip-audit requirements-dev.txt

wheels: setup ## Look which systems have a wheel of every compiled library (asks the index)
	$(BIN)/python .ci/wheels 3.11 3.12 3.13 3.14

test-cluster: setup ## Run what make test leaves out of the tests on PostgreSQL and on Celery workers
	$(BIN)/python -m pytest -m cluster -n 4 --dist worksteal -o faulthandler_timeout=900 $(PYTEST_ARGS)

test-faults: setup ## Run the fault tests: power cuts, full disks, dead processes (needs root)
	$(BIN)/python -m pytest tests/faults -m 'faults and not cluster' -n 3 --dist loadgroup $(PYTEST_ARGS)

docs: pages site ## Write the pages that are made from the code, and build a site of all pages in site/

pages: setup
	$(BIN)/python -m docs.pages
	$(BIN)/python -m docs.recording

# And one for what makes a site of the pages. No page is fetched for it, and the same pages give the same bytes.
.docs-venv/.libraries: requirements-docs.txt
	$(if $(PYTHON),$(PYTHON),$(BIN)/python) .ci/environment .docs-venv $< --quiet
	@touch $@

site: .docs-venv/.libraries
	.docs-venv/bin/codespell --config docs/codespell.ini *.md docs src examples deploy bench .ci Makefile
	rm -rf site
	SOURCE_DATE_EPOCH=0 .docs-venv/bin/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env --jobs auto \
		--conf-dir docs --doctree-dir .docs-venv/doctrees . site

torture: setup ## Kill a service 300 times, and see that nothing is lost (at least 10 minutes)
	$(BIN)/collator chaos --rounds 300

bench: setup ## Measure packets per second and the delay to the webhook
	$(BIN)/python -m bench $(BENCH_ARGS)

compare: setup ## Measure this build beside another commit, in turns
	$(BIN)/python -m bench.compare $(COMPARE_ARGS)

format: setup ## Format the code and mend what lint can mend
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

# Compiled on the oldest Python of the range: what only an old one needs does no harm on a new one, the other way
# round an installation breaks. No index address is written: everyone installs from the index that they trust.
COMPILE := CUSTOM_COMPILE_COMMAND='make lock' .lock-venv/bin/pip-compile --quiet --generate-hashes --allow-unsafe \
	--strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options --output-file

lock: ## Pin the newest libraries that pyproject.toml admits, with hashes (wants python3.11)
	python3.11 -m venv --clear .lock-venv
	.lock-venv/bin/python -m pip install --quiet --upgrade pip pip-tools
	$(COMPILE) requirements-dev.txt --upgrade --extra dev --extra demo pyproject.toml
	$(COMPILE) requirements.txt --constraint requirements-dev.txt --build-deps-for editable pyproject.toml
	$(COMPILE) requirements-extras.txt --constraint requirements-dev.txt --extra celery --extra otel --extra postgresql pyproject.toml
	echo pip | $(COMPILE) requirements-pip.txt --upgrade -
	echo pip-audit | $(COMPILE) requirements-audit.txt --upgrade -
	printf 'check-jsonschema\nfastapi\nflask\ngunicorn\nhttptools\nkubernetes-validate\nlitserve\nopenapi-python-client\nslowapi\nstandardwebhooks\nuvicorn\n' | \
		$(COMPILE) requirements-servers.txt --upgrade -
	printf 'build\ncyclonedx-bom\nhatchling\ntwine\n' | $(COMPILE) requirements-release.txt --upgrade -
	printf 'codespell\nfuro\nmyst-parser\nsphinx\n' | $(COMPILE) requirements-docs.txt --upgrade -
	printf 'aiohttp\nasync-timeout\ncelery[redis]\nflask\ngranian\ngunicorn\nhiredis\nrestate-sdk\ntaskiq\ntaskiq-redis\nurllib3\nuvloop\n' | \
		$(COMPILE) requirements-peers.txt --upgrade -
	rm -rf .lock-venv
	for place in bench/peers .ci/openapi examples/receivers/express; do npm install --prefix $$place --package-lock-only \
		--omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund; done

clean: ## Remove what the other targets made
	rm -rf $(VENV) .venv-* .lock-venv .audit-venv .servers-venv .release-venv .peers-venv .peers-node .openapi-node .compare dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src bench tests -name __pycache__ -type d -prune -exec rm -rf {} +
