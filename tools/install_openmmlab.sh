#!/bin/sh
# Installs OpenMMLab for --pose2d openmmlab into an environment: the versions that go together, tried on Linux with
# Python 3.11 and torch 2.13. A plain `pip install mmpose` fails, because it asks for a package that does not build and
# that it never imports.
#
#   tools/install_openmmlab.sh                      into a new environment .venv-openmmlab, sasmamba-demo included
#   tools/install_openmmlab.sh --into .venv         into one that is there
#   tools/install_openmmlab.sh --with-mmdet         also MMDetection, for --detector rtmdet and faster-rcnn: it needs
#                                                   MMCV's operations, which are compiled here (g++; about 25 minutes
#                                                   on two cores, MAX_JOBS sets how many)
# TORCH names the torch to install (default torch==2.13.0), TORCH_INDEX an index to take it from, such as PyTorch's own of
# CPU builds. With CUDA's compiler and FORCE_CUDA=1 the operations are built for GPUs, too.
set -eu

into=.venv-openmmlab
with_mmdet=
while [ $# -gt 0 ]; do
    case "$1" in
        --into) into=${2:?--into wants a folder}; shift 2 ;;
        --with-mmdet) with_mmdet=1; shift ;;
        *) echo "install_openmmlab.sh: $1 is unknown; there are --into FOLDER and --with-mmdet" >&2; exit 2 ;;
    esac
done

cd "$(dirname "$0")/.."
test -x "$into/bin/python" || "${PYTHON:-python3}" -m venv "$into"
python=$into/bin/python
pip() { "$python" -m pip --disable-pip-version-check "$@"; }

# shellcheck disable=SC2086  # without an index there is no argument
pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "${TORCH:-torch==2.13.0}"
# setuptools 81 and later lack pkg_resources, which the old packages below use.
pip install "setuptools>=77.0.3,<81" wheel cython numpy
pip install --no-build-isolation .
pip install mmengine==0.10.7 matplotlib scipy pillow json-tricks munkres
if [ -n "$with_mmdet" ]; then
    MMCV_WITH_OPS=1 FORCE_CUDA=${FORCE_CUDA:-0} MAX_JOBS=${MAX_JOBS:-2} \
        "$python" -m pip --disable-pip-version-check install --no-deps --no-build-isolation --no-binary mmcv mmcv==2.1.0
    pip install addict packaging pyyaml yapf pycocotools shapely six terminaltables tqdm
    pip install --no-deps mmdet==3.3.0
else
    pip install mmcv-lite==2.1.0 --no-deps
    pip install addict packaging pyyaml yapf
fi
pip install --no-deps --no-build-isolation --no-binary xtcocotools xtcocotools==1.14.3
pip install --no-deps mmpose==1.1.0

"$python" -c "from sasmamba.app.pose2d.openmmlab import load_mmpose; load_mmpose()"
if [ -n "$with_mmdet" ]; then "$python" -c "import mmdet.apis"; fi
echo "Done: $into/bin/sasmamba-demo VIDEO.mp4 --pose2d openmmlab"
