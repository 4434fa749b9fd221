# Everything lives in .venv; what is downloaded beyond it lies in the user's cache (`tracker doctor` shows where).

VENV   := .venv
BIN    := $(VENV)/bin
STAMPS := $(VENV)/stamps
PIP    := $(BIN)/python -m pip --disable-pip-version-check
# The oldest supported Python first: it is the one that the tests are known to pass with everywhere.
PYTHONS := $(or $(PYTHON),python3.11 python3.12 python3.13 python3 python)
CLIP   ?= single_face.mp4
PYTEST ?=
# Extras with pins of their own, requirements/NAME.txt; the tests need them all.
EXTRAS := models export bridges view train engines torch tensorrt nvdec

.DEFAULT_GOAL := help
# The only Python that this Blender is built for.
BLENDER_PYTHON ?= python3.11
BPY := .venv-blender

.PHONY: help demo test theseus test-blender blender-addon check lint format typecheck networks samples lock clean distclean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: networks ## track a sample clip, publish, receive, and leave pictures in out/demo (CLIP=name picks another sample)
	@$(BIN)/python tools/demo.py --clip $(CLIP)

test: $(STAMPS)/dev ## run the tests (PYTEST="-k wire" passes options on)
	@$(BIN)/tracker models fetch || echo "make: without the networks the tests that need them are skipped"
	@$(BIN)/tracker samples fetch || echo "make: without the samples the tests that need them are skipped"
	$(BIN)/python -m pytest $(PYTEST)

theseus: $(STAMPS)/theseus ## install Theseus, for fitting as a layer (needs libsuitesparse-dev and a C compiler)

test-blender: $(STAMPS)/runtime $(BPY)/stamp ## test the Blender add-on in Blender itself (400 MB to download the first time)
	TRACKER_PYTHON=$(CURDIR)/$(BIN)/python $(BPY)/bin/python -m pytest tests/blender $(PYTEST)

blender-addon: $(STAMPS)/runtime ## pack the Blender add-on into dist/
	@$(BIN)/python -m tools.blender.package

check: lint typecheck test ## lint, typecheck and test

lint: $(STAMPS)/dev ## look for mistakes and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMPS)/dev ## format the code and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

typecheck: $(STAMPS)/dev ## check types, strictly
	$(BIN)/mypy

networks: $(STAMPS)/runtime ## fetch the neural networks into the cache
	@$(BIN)/tracker models fetch

samples: $(STAMPS)/runtime ## fetch the sample clips into the cache
	@$(BIN)/tracker samples fetch

lock: $(STAMPS)/dev ## pin all requirements anew, with hashes
	$(PIP) install --quiet uv
	$(BIN)/uv $(LOCK) pyproject.toml requirements/runtime.in -o requirements/runtime.txt
	$(BIN)/uv $(LOCK) pyproject.toml --extra dev -c requirements/runtime.txt requirements/runtime.in -o requirements/dev.txt
	$(BIN)/uv $(LOCK) requirements/blender.in -o requirements/blender.txt
	for extra in $(EXTRAS); do \
	  $(BIN)/uv $(LOCK) pyproject.toml --extra $$extra -c requirements/dev.txt requirements/runtime.in -o requirements/$$extra.txt || exit 1; \
	done
	$(BIN)/uv $(LOCK) $(WITH_TORCH) --no-emit-package theseus-ai requirements/theseus.in -o requirements/theseus.txt
	echo theseus-ai | $(BIN)/uv $(LOCK) $(WITH_TORCH) --no-deps - -o requirements/theseus-ai.txt
	$(BIN)/uv $(LOCK) requirements/peers.in -o requirements/peers.txt
	$(BIN)/uv $(LOCK) requirements/peers-facemesh.in -o requirements/peers-facemesh.txt

# One version of each package for every Python and platform, so that results do not depend on either.
LOCK := pip compile --quiet --upgrade --universal --python-version 3.11 --fork-strategy fewest \
        --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock"
# Theseus tells its own requirements only where torch is installed.
WITH_TORCH := --python $(BIN)/python --no-build-isolation-package theseus-ai -c requirements/dev.txt

clean: ## remove what runs left behind; keep .venv and the cache
	rm -rf out build dist .pytest_cache .mypy_cache .ruff_cache
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

distclean: clean ## remove .venv and .venv-blender too
	rm -rf $(VENV) $(BPY)

$(STAMPS)/venv:
	@python=; for name in $(PYTHONS); do \
	  if $$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "make: needs Python 3.11, 3.12 or 3.13 and found none as: $(PYTHONS); name one with: make PYTHON=/path/to/python3.11 …" >&2; exit 1; \
	fi; \
	echo "creating $(VENV) with $$($$python --version)"; rm -rf $(VENV); \
	if ! $$python -m venv $(VENV) >/dev/null 2>&1; then \
	  echo "this Python has no ensurepip; taking its own pip"; rm -rf $(VENV); \
	  $$python -m venv --without-pip $(VENV) && $$python -m pip --python $(BIN)/python install --quiet pip || \
	  { echo "make: $$python can make no virtual environment; on Debian and Ubuntu run: apt-get install python3-venv python3-pip" >&2; rm -rf $(VENV); exit 1; }; \
	fi
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/runtime: requirements/runtime.txt pyproject.toml | $(STAMPS)/venv
	@echo "installing the runtime (about 200 MB to download the first time)"
	@$(PIP) install --quiet --require-hashes -r requirements/runtime.txt
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(STAMPS)/dev: requirements/dev.txt $(STAMPS)/runtime
	@echo "installing what the tests need"
	@$(PIP) install --quiet --require-hashes -r requirements/dev.txt
	@touch $@

# scikit-sparse is compiled against SuiteSparse; Theseus asks for torch while it is built, so it comes last and without isolation.
$(STAMPS)/theseus: requirements/theseus.txt requirements/theseus-ai.txt $(STAMPS)/dev
	@echo '#include <cholmod.h>' | $(or $(CC),cc) -E -I/usr/include/suitesparse -I/usr/local/include/suitesparse -I/opt/homebrew/include/suitesparse - >/dev/null 2>&1 || \
	{ echo "make: Theseus needs SuiteSparse's headers and a C compiler; on Debian and Ubuntu run: apt-get install libsuitesparse-dev gcc" >&2; exit 1; }
	@echo "installing Theseus"
	@$(PIP) install --quiet --require-hashes -r requirements/theseus.txt
	@$(PIP) install --quiet --require-hashes --no-deps --no-build-isolation -r requirements/theseus-ai.txt
	@touch $@

$(BPY)/stamp: requirements/blender.txt | $(STAMPS)/venv
	@$(BLENDER_PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1 || \
	{ echo "make: Blender's Python module needs Python 3.11 and $(BLENDER_PYTHON) is not; name one with: make test-blender BLENDER_PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "installing Blender as a Python module into $(BPY)"; rm -rf $(BPY)
	@$(BLENDER_PYTHON) -m venv --without-pip $(BPY)
	@$(PIP) --python $(BPY)/bin/python install --quiet --require-hashes -r requirements/blender.txt
	@touch $@
