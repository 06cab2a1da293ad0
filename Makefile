# make sweep   the main job on the embedded data: 12 trials, no download, no GPU
# make test    the tests; test-quick: those that start no Ray; test-faults: those that kill and damage
# make check   formatting, lint, types, and what bandit and pip-audit find
# make bench   the benchmarks on Fashion-MNIST; bench-quick: on a tenth of it;
#              bench-models: nine kinds of models on data made offline

VENV := .venv
BIN := $(VENV)/bin
PURELIB := python -c "import sysconfig; print(sysconfig.get_path('purelib'))"
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

# uv leaves compiling to the first import: where that may not write, each of hundreds of programs
# would compile what it imports anew, which is a third of what they take to start
unexport PYTHONDONTWRITEBYTECODE

# uv takes a third of pip's time; it does not know of an index that pip is set to, or told to leave
define install
if $(BIN)/python -m pip config list | grep -qE '\.(index-url|no-index)='; then $(PIP) --editable '$(1)'; \
	else $(BIN)/uv pip install --quiet --python $(BIN)/python --editable '$(1)'; fi
endef

.PHONY: sweep test test-quick test-faults check bench bench-quick bench-models clean

sweep: $(VENV)/ready
	@$(BIN)/sweeps run quickstart

# first what measures the machine; then four files at a time, on two cores: tests often wait
test: $(VENV)/ready-to-test
	@$(BIN)/pytest -m alone tests/faults
	@$(BIN)/pytest -m "not alone" --numprocesses 4 --dist loadfile --no-loadscope-reorder \
		--max-worker-restart 0

test-quick: $(VENV)/ready-to-test
	@$(BIN)/pytest -m "not ray" --numprocesses 2 --dist loadfile

test-faults: $(VENV)/ready-to-test
	@$(BIN)/pytest tests/faults

# each of its own, so that `make -j 2 check` waits for mypy and for the advisories at once
CHECKS := check-format check-types check-imports check-security check-advisories
.PHONY: check $(CHECKS)

check: $(CHECKS)

$(CHECKS): $(VENV)/ready-to-test

check-format:
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

check-types:
	@$(BIN)/mypy

check-imports:
	@$(BIN)/lint-imports --no-cache > $(VENV)/imports.log || { cat $(VENV)/imports.log; exit 1; }

check-security:
	@$(BIN)/bandit --quiet --configfile pyproject.toml --recursive sweeps trainer

check-advisories:
	@$(BIN)/python .ci/audit.py

bench: $(VENV)/ready-to-bench
	@$(BIN)/python benchmarks/bench.py

bench-quick: $(VENV)/ready-to-bench
	@$(BIN)/python benchmarks/bench.py --quick

bench-models: $(VENV)/ready-to-bench
	@$(BIN)/python benchmarks/models.py $(MODELS)

clean:
	rm -rf $(VENV)

$(VENV)/ready: pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or newer is needed, and none is on PATH;" \
		"install it, or name it: make PYTHON=/path/to/python3.12"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: Python 3.11 or newer is needed, $(PYTHON) is older"; exit 2; }
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { echo "error: '$(PYTHON) -m venv' failed;" \
		"on Debian and Ubuntu: apt install python3-venv"; rm -rf $(VENV); exit 2; }
	@echo "installing into $(VENV) (torch is large: a few minutes the first time)"
	@$(PIP) uv
	@$(call install,.)
	@touch $@

$(VENV)/ready-to-bench: $(VENV)/ready
	@$(call install,.[bench])
	@touch $@

# A head that takes jobs needs ray[default], which opens pages to the network and slows every other
# Ray down: it is laid over what the tests have, and used for such heads alone.
$(VENV)/ready-to-test: $(VENV)/ready
	@$(call install,.[test])
	@$(BIN)/python -m venv $(VENV)/head
	@echo "import site; site.addsitedir('$$($(BIN)/$(PURELIB))')" > $$($(VENV)/head/bin/$(PURELIB))/base.pth
	@$(PIP:$(BIN)/%=$(VENV)/head/bin/%) 'ray[default]'
	@touch $@
