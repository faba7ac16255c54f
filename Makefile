# make demo: set everything up and render a real clip.   make test: lint, types, tests.   make coverage: lines they reach.
# make docs: the site.   make upgrade: newer packages.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Tests start hundreds of processes, each of which would compile this package anew where bytecode may not be kept.
unexport PYTHONDONTWRITEBYTECODE
# The versions that were tested together, where there are such for this Python; CONSTRAINTS= takes the ranges alone.
CONSTRAINTS ?= $(wildcard constraints/$(shell $(PYTHON) -c "import sys; print('py%d%d.txt' % sys.version_info[:2])"))
CONSTRAINTS := $(CONSTRAINTS)
# On Linux a plain `torch` may bring gigabytes of CUDA that nothing here needs: make demo TORCH_INDEX=URL takes it from
# an index of CPU builds, such as PyTorch's own. A version that was not tested: make demo CONSTRAINTS= TORCH=torch==2.11.0
TORCH ?= torch
TORCH_INDEX ?=
# Extras of pyproject.toml that the tests find installed; `dev` must be among them. Tests that need another are skipped.
EXTRAS ?= dev
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(addprefix --constraint ,$(CONSTRAINTS))

comma := ,
.PHONY: demo test lint types unit beside alone coverage wheel-check docs upgrade parity parity-mmdet bench clean

$(VENV)/.run: pyproject.toml setup.py $(CONSTRAINTS) $(wildcard models/kernels/*.cpp models/kernels/*.h)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) $(if $(TORCH_INDEX),--index-url "$(TORCH_INDEX)") "$(TORCH)"
	$(INSTALL) "setuptools>=77" wheel
	$(INSTALL) --no-build-isolation --editable .
	touch $@

# One stamp for each set of extras: more of them are installed when they are asked for.
READY := $(VENV)/.with-$(subst $(comma),-,$(EXTRAS))
$(READY): $(VENV)/.run
	$(INSTALL) --no-build-isolation --editable ".[$(EXTRAS)]"
	touch $@

demo: $(VENV)/.run
	$(BIN)/sasmamba-demo weights fetch demo-clip
	cp "$$($(BIN)/sasmamba-demo weights where demo-clip)" demo_videos/park.mp4
	eyes=movenet; $(BIN)/sasmamba-demo weights fetch movenet || \
		{ eyes=mediapipe; $(BIN)/sasmamba-demo weights fetch pose-landmarker-full; }; \
	$(BIN)/sasmamba-demo demo_videos/park.mp4 --pose2d $$eyes --out demo_videos/park_3d.mp4
	@echo "Watch it: $(CURDIR)/demo_videos/park_3d.mp4"

# Types, then the wheel, are looked at beside the tests.
test: lint
	$(MAKE) --jobs=2 beside types wheel-check
	$(MAKE) alone

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	tools/link_rooms.sh
	cd build/types && MYPYPATH=. $(abspath $(BIN))/mypy --config-file ../../pyproject.toml \
		-p sasmamba

unit: beside alone

# COVERAGE=yes also counts which lines are reached, and fails below what pyproject.toml wants. Counting makes Python a
# third slower or more, so that `make coverage` and `make upgrade` do it, and `make test` does not.
COVERAGE ?=
COVER := --cov --cov-report= --cov-fail-under=0

# One at a time more than there are two cores, since many wait for something.
beside: $(READY)
	rm -rf build/coverage && mkdir -p build/coverage
	$(BIN)/python -m pytest -m "not timing" --numprocesses 3 --dist worksteal $(if $(COVERAGE),$(COVER))
	$(if $(COVERAGE),$(BIN)/python tools/coverage_table.py)

coverage:
	$(MAKE) beside COVERAGE=yes

# Those that measure time, with nothing beside them. Only files that have such are looked into.
alone: $(READY)
	$(BIN)/python -m pytest -m timing $$(grep -rl mark.timing tests --include='test_*.py')

# The wheel, installed away from the checkout, must run too.
wheel-check: $(READY)
	$(BIN)/python tests/wheel_check.py

# The documentation as a site in build/docs; a warning, such as a link that leads nowhere, is an error.
docs: $(VENV)/.run
	$(INSTALL) --no-build-isolation --editable ".[docs]"
	tools/link_rooms.sh
	$(BIN)/mkdocs build --strict

# The newest versions that pyproject.toml allows, tried in a fresh environment; constraints/ is written when all is green.
upgrade:
	rm -rf .venv-upgrade
	$(PYTHON) -m venv .venv-upgrade
	.venv-upgrade/bin/python -m pip install --quiet --disable-pip-version-check uv
	PATH="$(CURDIR)/.venv-upgrade/bin:$$PATH" .venv-upgrade/bin/python tools/upgrade.py --torch "$(TORCH)"

# HRNet beside MMPose's own, in an environment that holds OpenMMLab: mmpose asks for packages that do not build, which
# it does not import, hence --no-deps.
OPENMMLAB := .venv-openmmlab
$(OPENMMLAB)/.done:
	test -x $(OPENMMLAB)/bin/python || $(PYTHON) -m venv $(OPENMMLAB)
	$(OPENMMLAB)/bin/python -m pip install --quiet --disable-pip-version-check $(addprefix --constraint ,$(CONSTRAINTS)) \
		$(if $(TORCH_INDEX),--index-url "$(TORCH_INDEX)") "$(TORCH)"
	$(OPENMMLAB)/bin/python -m pip install --quiet --disable-pip-version-check \
		"setuptools>=77.0.3,<81" wheel cython numpy mmengine==0.10.7 mmcv-lite==2.1.0 \
		matplotlib scipy pillow json-tricks munkres opencv-python safetensors
	$(OPENMMLAB)/bin/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --no-build-isolation --no-binary xtcocotools xtcocotools==1.14.3
	$(OPENMMLAB)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps mmpose==1.1.0
	touch $@

parity: $(OPENMMLAB)/.done
	tools/link_rooms.sh
	PYTHONPATH=build/types $(OPENMMLAB)/bin/python tests/parity_openmmlab/compare_hrnet.py

# MMDetection's detectors beside MMDetection itself, where tools/install_openmmlab.sh --with-mmdet has made $(OPENMMLAB).
parity-mmdet:
	tools/link_rooms.sh
	PYTHONPATH=build/types $(OPENMMLAB)/bin/python tests/parity_openmmlab/compare_detectors.py

bench: $(VENV)/.run
	$(BIN)/sasmamba-demo bench

clean:
	rm -rf build dist $(VENV) .venv-* *.egg-info models/kernels/*.so
