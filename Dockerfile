# The page for a browser, on a CPU. Build it, and serve a folder of annotations or a model:
#
#   docker build --tag mldfr .
#   docker run --rm --publish 127.0.0.1:8000:8000 --volume "$PWD:/work" mldfr serve --model runs/mine --host 0.0.0.0
#
# PyTorch's packages for CPUs alone are 4 GB smaller than the usual ones; its site names the index that has them:
#
#   docker build --build-arg TORCH_INDEX=INDEX --tag mldfr .
FROM python:3.12-slim AS build
ARG TORCH_INDEX=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/mldfr
ENV PATH=/opt/mldfr/bin:$PATH
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN if [ -n "$TORCH_INDEX" ]; then pip install --index-url "$TORCH_INDEX" "torch>=2.9" "torchvision>=0.24"; fi
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
# Its versions are those of pyproject.toml.
# hadolint ignore=DL3013
RUN pip install ".[web,onnx,openvino,heif]"

FROM python:3.12-slim
COPY --from=build /opt/mldfr /opt/mldfr
ENV PATH=/opt/mldfr/bin:$PATH HOME=/tmp OMP_WAIT_POLICY=PASSIVE
RUN useradd --no-create-home --uid 1000 mldfr
USER 1000
WORKDIR /work
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/')"]
ENTRYPOINT ["mldfr"]
CMD ["serve", "--host", "0.0.0.0"]
