# make demo: set everything up and render a real clip.   make test: lint, types, tests.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# This version is tried. On Linux a plain `torch` may bring gigabytes of CUDA that nothing here needs:
# make demo TORCH_INDEX=URL takes it from an index of CPU builds, such as PyTorch's own.
TORCH ?= torch==2.13.0
TORCH_INDEX ?=

.PHONY: demo test lint types unit wheel-check parity parity-mmdet bench clean

$(VENV)/.run: pyproject.toml setup.py $(wildcard models/kernels/*.cpp models/kernels/*.h)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		$(if $(TORCH_INDEX),--index-url "$(TORCH_INDEX)") "$(TORCH)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "setuptools>=77" wheel
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --editable ".[dev]"
	touch $@

demo: $(VENV)/.run
	$(BIN)/sasmamba-demo weights fetch pose-landmarker-full demo-clip
	cp "$$($(BIN)/sasmamba-demo weights where demo-clip)" demo_videos/park.mp4
	$(BIN)/sasmamba-demo demo_videos/park.mp4 --pose2d mediapipe --out demo_videos/park_3d.mp4
	@echo "Watch it: $(CURDIR)/demo_videos/park_3d.mp4"

test: lint types unit wheel-check

lint: $(VENV)/.dev
	$(BIN)/ruff check .

# Type checkers do not follow setuptools' mapping of folders to import names; one link shows them the same tree.
types: $(VENV)/.dev
	mkdir -p build/types && ln -sfn ../.. build/types/sasmamba
	cd build/types && MYPYPATH=. ../../$(BIN)/mypy --config-file ../../pyproject.toml \
		-p sasmamba.app -p sasmamba.models -p sasmamba.training

unit: $(VENV)/.dev
	$(BIN)/python -m pytest

# The wheel, installed away from the checkout, must run too.
wheel-check: $(VENV)/.dev
	$(BIN)/python tests/wheel_check.py

# HRNet beside MMPose's own, in an environment that holds OpenMMLab: mmpose asks for packages that do not build, which
# it does not import, hence --no-deps.
OPENMMLAB := .venv-openmmlab
$(OPENMMLAB)/.done:
	test -x $(OPENMMLAB)/bin/python || $(PYTHON) -m venv $(OPENMMLAB)
	$(OPENMMLAB)/bin/python -m pip install --quiet --disable-pip-version-check \
		$(if $(TORCH_INDEX),--index-url "$(TORCH_INDEX)") "$(TORCH)"
	$(OPENMMLAB)/bin/python -m pip install --quiet --disable-pip-version-check \
		"setuptools>=77.0.3,<81" wheel cython numpy mmengine==0.10.7 mmcv-lite==2.1.0 \
		matplotlib scipy pillow json-tricks munkres opencv-python safetensors
	$(OPENMMLAB)/bin/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --no-build-isolation --no-binary xtcocotools xtcocotools==1.14.3
	$(OPENMMLAB)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps mmpose==1.1.0
	touch $@

parity: $(OPENMMLAB)/.done
	mkdir -p build/types && ln -sfn ../.. build/types/sasmamba
	PYTHONPATH=build/types $(OPENMMLAB)/bin/python tests/parity_openmmlab/compare_hrnet.py

# MMDetection's detectors beside MMDetection itself, where tools/install_openmmlab.sh --with-mmdet has made $(OPENMMLAB).
parity-mmdet:
	mkdir -p build/types && ln -sfn ../.. build/types/sasmamba
	PYTHONPATH=build/types $(OPENMMLAB)/bin/python tests/parity_openmmlab/compare_detectors.py

bench: $(VENV)/.run
	$(BIN)/sasmamba-demo bench

clean:
	rm -rf build dist $(VENV) .venv-* *.egg-info models/kernels/*.so
