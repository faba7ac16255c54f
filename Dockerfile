# sasmamba-demo on the CPU.
#   docker build --tag sasmamba-demo .
#   docker build --tag sasmamba-demo:openmmlab --target openmmlab .     with OpenMMLab's own models, see below
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/videos" --volume sasmamba-weights:/weights \
#       sasmamba-demo video.mp4

FROM python:3.11-slim-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/sasmamba
ENV PATH=/opt/sasmamba/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# A plain torch may bring gigabytes of CUDA that this image has no use for:
# --build-arg TORCH_INDEX=URL names an index of CPU builds, such as PyTorch's own.
ARG TORCH=torch==2.13.0
ARG TORCH_INDEX=
RUN pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$TORCH"
RUN pip install "setuptools>=77" wheel
WORKDIR /source
# Dependencies first: they stay cached while only the code changes.
COPY pyproject.toml /source/
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        > requirements.txt \
    && pip install --requirement requirements.txt
COPY . /source
# The image may run on another processor than the one that built it.
ENV SASMAMBA_PORTABLE=1
RUN pip install --no-deps --no-build-isolation . \
    && python -c "from sasmamba.models import kernels; library, found = kernels.load(); print(found); assert library"

# With MMPose and MMDetection for --pose2d openmmlab; MMCV's operations are compiled, which takes about half an hour on
# two cores.
FROM build AS build-openmmlab
ARG TORCH=torch==2.13.0
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
USER sasmamba
VOLUME /weights
WORKDIR /videos
ENTRYPOINT ["sasmamba-demo"]
CMD ["--help"]

FROM base AS openmmlab
COPY --from=build-openmmlab /opt/sasmamba /opt/sasmamba
RUN python -c "import mmdet.apis, mmpose.apis" && sasmamba-demo doctor

# The last one is what `docker build` makes when no target is named.
FROM base
COPY --from=build /opt/sasmamba /opt/sasmamba
# An image that lacks a library fails here, not at its user's. What has to be fetched may still be missing.
RUN python -c "import cv2; from mediapipe.tasks.python import vision" && sasmamba-demo doctor
