# hadolint global ignore=DL3008,DL3013
# (no versions of Debian's packages and build tools: theirs move with the base image, and old ones vanish)
# sasmamba-demo in a container, on the CPU or with CUDA.
#   docker build --build-arg TORCH_INDEX=URL --tag sasmamba-demo .          the CPU; URL: an index of CPU builds of torch
#   docker build --target cuda --tag sasmamba-demo:cuda .                   NVIDIA GPUs; torch's usual build
#   docker build --target openmmlab --tag sasmamba-demo:openmmlab .         with OpenMMLab's own models, see below
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/videos" --volume sasmamba-weights:/weights \
#       sasmamba-demo video.mp4                                             with a GPU: --gpus all, and sasmamba-demo:cuda
# --build-arg EXTRAS=cluster,export adds what pyproject.toml calls so; --cluster needs the same image on every node.

FROM python:3.11-slim-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/sasmamba
ENV PATH=/opt/sasmamba/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# The usual build of torch brings gigabytes of CUDA that a CPU has no use for; TORCH_INDEX names another index, such as
# PyTorch's own of CPU builds, or of another CUDA than the usual one. Versions are those that were tested together; another
# torch: --build-arg CONSTRAINTS= --build-arg TORCH=torch==2.11.0
ARG CONSTRAINTS=constraints/py311.txt
ARG TORCH=torch
ARG TORCH_INDEX=
WORKDIR /source
# Dependencies first: they stay cached while only the code changes.
COPY constraints /source/constraints
RUN pip install ${CONSTRAINTS:+--constraint "$CONSTRAINTS"} ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$TORCH" \
    && pip install ${CONSTRAINTS:+--constraint "$CONSTRAINTS"} "setuptools>=77" wheel
COPY pyproject.toml /source/
ARG EXTRAS=
RUN python -c "import sys, tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
extras = [e for e in sys.argv[1].split(',') if e]; \
print(*p['dependencies'], *(d for e in extras for d in p['optional-dependencies'][e]), sep='\n')" \
        "$EXTRAS" > requirements.txt \
    && pip install ${CONSTRAINTS:+--constraint "$CONSTRAINTS"} --requirement requirements.txt
COPY . /source
# The image may run on another processor than the one that built it.
ENV SASMAMBA_PORTABLE=1
RUN pip install --no-deps --no-build-isolation . \
    && python -c "from sasmamba.models import kernels; library, found = kernels.load(); print(found); assert library"

# With MMPose and MMDetection for --pose2d openmmlab; MMCV's operations are compiled, which takes about half an hour on
# two cores.
FROM build AS build-openmmlab
ARG TORCH=torch
ARG TORCH_INDEX=
RUN TORCH="$TORCH" TORCH_INDEX="$TORCH_INDEX" tools/install_openmmlab.sh --into /opt/sasmamba --with-mmdet

FROM python:3.11-slim-bookworm AS base
# MediaPipe's native part and OpenCV load these.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libegl1 libgl1 libgles2 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
# Any user may fetch the 2D weights on the first run; keep them in a volume.
RUN useradd --create-home --uid 1000 sasmamba \
    && mkdir /weights /videos \
    && chmod 1777 /weights /videos
ENV PATH=/opt/sasmamba/bin:$PATH SASMAMBA_WEIGHTS=/weights MPLCONFIGDIR=/tmp/matplotlib PYTHONUNBUFFERED=1
USER 1000
VOLUME /weights
WORKDIR /videos
ENTRYPOINT ["sasmamba-demo"]
CMD ["--help"]

FROM base AS openmmlab
COPY --from=build-openmmlab /opt/sasmamba /opt/sasmamba
RUN python -c "import mmdet.apis, mmpose.apis" && sasmamba-demo doctor

FROM base AS cuda
# Triton compiles a little C when a kernel first runs; its cache must be writable for any user.
USER 0
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
USER 1000
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility TRITON_CACHE_DIR=/tmp/triton
COPY --from=build /opt/sasmamba /opt/sasmamba
# There is no GPU while an image is built, but a torch without CUDA would never see one.
RUN python -c "import torch, triton; assert torch.version.cuda, 'this torch has no CUDA: leave TORCH_INDEX away'" \
    && python -c "import cv2; from mediapipe.tasks.python import vision" && sasmamba-demo doctor

# The last one is what `docker build` makes when no target is named.
FROM base
COPY --from=build /opt/sasmamba /opt/sasmamba
# An image that lacks a library fails here, not at its user's. What has to be fetched may still be missing.
RUN python -c "import cv2; from mediapipe.tasks.python import vision" && sasmamba-demo doctor
