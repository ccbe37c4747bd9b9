# Every target sets up what it needs in .venv first; what is up to date is not made again.
#
#   make demo          one plan, then all policies on the three built-in applications, and a report to look at
#   make demo-live     the controller against containers on this machine for a minute; needs root and Debian's runc
#   make test          the whole test suite
#   make check         style, types, spelling
#   make sanitize      the native kernels under AddressSanitizer and UndefinedBehaviorSanitizer
#   make planted-bugs  proof that the tests catch one planted bug in each kernel
#   make bench         the benchmarks (bench/README.md)
#   make paper         the evaluation of the SMIless paper, redone in the simulator (bench/results/paper.md)
#   make format        lay out Python and C++ as `make check` demands
#   make clean         remove .venv and everything that was built

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NATIVE := $(wildcard csrc/src/* csrc/include/smiless/* src/smiless_core/_native/*.pyx src/smiless_core/_native/*.pxd)
CXX_FILES = $(wildcard csrc/src/* csrc/include/smiless/* tests/native/*)

.PHONY: demo demo-live test check sanitize planted-bugs bench paper format clean
.DELETE_ON_ERROR:

# --- the environment ---------------------------------------------------------------------------------

comma := ,
fail = { echo "make: $(1)" >&2; exit 1; }

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || $(call fail,no $(PYTHON): install Python 3.11 or newer$(comma) or name one with PYTHON=)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || $(call fail,$(PYTHON) is older than Python 3.11: name a newer one with PYTHON=)
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	    || $(call fail,$(PYTHON) cannot make virtual environments: install python3-venv)
	@echo "==> making $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)

# The package, editable, with its kernels built in place.
$(VENV)/.installed: pyproject.toml setup.py $(NATIVE) | $(BIN)/python
	@command -v $(CXX) >/dev/null \
	    || $(call fail,no C++ compiler ($(CXX)): install g++$(comma) or name one with CXX=)
	@test -f "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" \
	    || $(call fail,no Python.h for $(PYTHON): install python3-dev)
	@echo "==> installing smiless-core and building its kernels (a minute or two)"
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	    | $(BIN)/python -m pip install --requirement /dev/stdin
	@$(BIN)/python -m pip install --no-build-isolation --editable ".[report]"
	@touch $@

$(VENV)/.dev $(VENV)/.bench $(VENV)/.control: $(VENV)/.%: pyproject.toml | $(VENV)/.installed
	@echo "==> installing the tools of smiless-core[$*]"
	@$(BIN)/python -m pip install "smiless-core[$*]"
	@touch $@

# --- what to do --------------------------------------------------------------------------------------

demo: $(VENV)/.installed
	$(BIN)/smiless plan amber-alert --every 10
	$(BIN)/smiless compare

demo-live: $(VENV)/.installed $(VENV)/.control
	@PATH="$$PATH:/usr/sbin:/sbin" command -v runc >/dev/null \
	    || $(call fail,no runc: apt-get install runc$(comma) or run $(BIN)/python examples/live/demo.py --runtime processes)
	$(BIN)/python examples/live/demo.py

test: $(VENV)/.installed $(VENV)/.dev
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(VENV)/.installed $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(CXX_FILES)
	$(BIN)/codespell

format: $(VENV)/.installed $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/clang-format -i $(CXX_FILES)

SANITIZE := address,undefined
SANITIZED := $(CURDIR)/build/sanitize
runtime = $(shell $(CXX) -print-file-name=$(1))

# The kernels twice: called from C, with leaks reported, then from Python, which leaks by design.
sanitize: $(VENV)/.installed $(VENV)/.dev
	@echo "==> building the kernels with $(SANITIZE) sanitizers"
	@rm -rf $(SANITIZED)/lib
	SMILESS_SANITIZE=$(SANITIZE) $(BIN)/python setup.py --quiet build \
	    --build-base $(SANITIZED) --build-lib $(SANITIZED)/lib --build-temp $(SANITIZED)/temp
	$(CC) -std=c11 -g -Wall -Wextra -Wpedantic -Werror -fsanitize=$(SANITIZE) -fno-sanitize-recover=all \
	    -Icsrc/include tests/native/api.c $(SANITIZED)/temp/libsmiless.a -lstdc++ -lm -o $(SANITIZED)/api
	ASAN_OPTIONS=detect_leaks=1 $(SANITIZED)/api
	LD_PRELOAD="$(call runtime,libasan.so) $(call runtime,libstdc++.so)" ASAN_OPTIONS=detect_leaks=0 \
	PYTHONMALLOC=malloc PYTHONPATH=$(SANITIZED)/lib SMILESS_NATIVE=$(SANITIZED)/lib \
	    $(BIN)/python -m pytest -m native --hypothesis-profile=fewer $(PYTEST_ARGS)

planted-bugs: $(VENV)/.installed $(VENV)/.dev
	$(BIN)/python tests/planted_bugs.py

bench: $(VENV)/.installed $(VENV)/.dev $(VENV)/.bench
	$(BIN)/python -m pytest bench --benchmark-only --benchmark-json=build/bench.json --timeout=0 $(PYTEST_ARGS)
	$(BIN)/python -m bench.summary build/bench.json

paper: $(VENV)/.installed $(VENV)/.dev $(VENV)/.bench
	$(BIN)/python -m bench.paper

clean:
	rm -rf $(VENV) build dist src/*.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests bench -name __pycache__ -prune -exec rm -rf {} +
	rm -f src/smiless_core/_native/*.so
