# Glasshouse on the CPU, with the starter model inside:
#   docker build -t glasshouse . && docker run --rm -p 8002:8002 glasshouse
# docs/container.md tells how to keep models and chats.

FROM python:3.12-slim-bookworm AS build
# The base image is the pin: a fixed package version disappears from the archive with its next security fix.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
# An image runs on other processors than it was built on, so nothing of the builder's own may go in: with GGML_NATIVE off
# llama.cpp takes AVX2 and FMA on x86-64 (any processor since about 2013) and ARMv8 on arm64. Its variants that are chosen
# at run time (GGML_CPU_ALL_VARIANTS) need a call that llama-cpp-python does not make: no backend would be found.
ARG CMAKE_ARGS="-DGGML_NATIVE=OFF"
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY pyproject.toml ./
# llama.cpp first: this long step is repeated only when pyproject.toml changes.
RUN python -m venv /opt/glasshouse \
    && /opt/glasshouse/bin/pip install "$(sed -n 's/^ *"\(llama-cpp-python[^"]*\)".*/\1/p' pyproject.toml)"
COPY README.md LICENSE ./
COPY webui webui
COPY static static
RUN /opt/glasshouse/bin/pip install ".[starter,otel,redis]"

FROM python:3.12-slim-bookworm
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --user-group --home-dir /data --no-create-home glasshouse \
    && install -d -o 1000 -g 1000 /data /models
COPY --from=build /opt/glasshouse /opt/glasshouse
ENV PATH="/opt/glasshouse/bin:$PATH" HOME=/data PYTHONUNBUFFERED=1 \
    GLASSHOUSE_HOST=0.0.0.0 GLASSHOUSE_PORT=8002 GLASSHOUSE_MODELS_DIR=/models GLASSHOUSE_DATA_DIR=/data \
    GLASSHOUSE_FIRST_VISITOR=true
USER 1000:1000
WORKDIR /data
VOLUME ["/models", "/data"]
EXPOSE 8002
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['GLASSHOUSE_PORT'] + '/health/live', timeout=4)"]
CMD ["glasshouse", "serve"]
