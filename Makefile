# make run | test | check | serve. The same commands as CI's.
PYTHON ?= python3.11
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: run test check serve format lock bench peers

run: $(INSTALLED)
	@$(BIN)/python -m flows.pipeline

test: $(INSTALLED)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not processes" --numprocesses 2 --dist worksteal
	@$(BIN)/python -m pytest -m processes --numprocesses 2 --dist loadscope

check: $(INSTALLED)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" --numprocesses 2

# A Prefect server with this project's schedules, on loopback, until Ctrl-C.
serve: $(INSTALLED)
	@$(BIN)/python -m flows.serve $(SERVE)

format: $(INSTALLED)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(INSTALLED)
	@$(BIN)/python -m bench.loop
	@$(BIN)/python -m bench.machine
	@$(BIN)/python -m bench.fixed
	@$(BIN)/python -m bench.autoencoders
	@$(BIN)/python -m bench.mnist
	@$(BIN)/python -m bench.text
	@$(BIN)/python -m bench.transfer

# The product beside Keras and Lightning, which are in no other environment than this one.
peers: .venv-peers/.installed
	@$(BIN)/python -m bench.peers $(PEERS)

# What both need, torch among it, they take from .venv.
.venv-peers/.installed: bench/peers/requirements.txt $(INSTALLED)
	@echo "Installing into .venv-peers (a minute, once)"
	@$(PYTHON) -m venv .venv-peers
	@$(BIN)/uv pip install --quiet --python .venv-peers/bin/python --no-deps --require-hashes --requirement $<
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$(.venv-peers/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/trainyard.pth"
	@touch $@

# New pins from pyproject.toml's ranges, with hashes and without addresses.
lock: $(INSTALLED)
	@$(BIN)/uv pip compile --quiet --universal --upgrade --no-header --no-annotate --generate-hashes \
		--python-version 3.11 --extra dev --output-file requirements.txt pyproject.toml

# pip brings uv alone, as pinned; uv unpacks and compiles on all cores, which takes a quarter of pip's time.
# --strict: what the pins leave out is said. Ray starts five processes a training, hence the bytecode.
$(INSTALLED): requirements.txt
	@echo "Installing into .venv (a minute or two, once)"
	@$(PYTHON) -m venv .venv
	@sed -n '/^uv==/,/[^\]$$/p' requirements.txt | \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement /dev/stdin
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --strict --require-hashes --compile-bytecode --requirement requirements.txt
	@touch $@
