# docker build .                             for CPU
# docker build --build-arg VARIANT=gpu .     for NVIDIA GPUs
# docker build --build-arg VARIANT=slim .    for CPU, without torch: docs/how-to/deploy.md
# docker build --build-arg MODEL=owner/name . with a hub model in the image, instead of the bundled one

# Pinned by digest, so that later builds start from the same bytes; `make pin-images` updates it.
ARG PYTHON=3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

FROM python:${PYTHON} AS build
ARG VARIANT=cpu
# A package index for torch, if its official index cannot be reached.
ARG TORCH_INDEX_URL=
ENV VIRTUAL_ENV=/venv UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# These lists pin each file of each package by its hash; `make lock` writes them.
COPY requirements-build.lock requirements.lock requirements-cuda.lock requirements-slim.lock \
    constraints.txt deploy/trim.py ./
RUN pip install --no-cache-dir --require-hashes --no-deps -r requirements-build.lock \
    && uv venv --python "$(command -v python)" /venv

# Compiles the engine `native`; the compiler stays in this stage.
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*

# Separate from the code, so that a change in the code does not download torch again. The packages
# that torch needs are installed first. The CPU build of torch comes from its official index, which
# uv knows, or from a mirror. Its files are not in the lock: the version and TLS protect them.
RUN case "$VARIANT" in slim) lock=requirements-slim.lock ;; *) lock=requirements.lock ;; esac \
    && uv pip install --require-hashes --no-deps -r "$lock" \
    && case "$VARIANT:$TORCH_INDEX_URL" in \
        slim:*) python trim.py /venv/lib/python3.*/site-packages ;; \
        cpu:) uv pip install --torch-backend=cpu -c constraints.txt torch ;; \
        gpu:) uv pip install --require-hashes --no-deps -r requirements-cuda.lock ;; \
        cpu:*|gpu:*) uv pip install --index="$TORCH_INDEX_URL" -c constraints.txt torch ;; \
        *) echo "VARIANT is cpu, gpu or slim, not $VARIANT" >&2; exit 2 ;; \
    esac

COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY app app
RUN python -m hatchling build -t wheel -d /dist && uv pip install --no-deps --offline /dist/*.whl

# One ranking downloads the files that serving needs, and proves that the model works.
ARG MODEL=
ARG REVISION=
ENV HF_HUB_CACHE=/models
RUN mkdir /models && if [ -n "$MODEL" ]; then \
        case "$VARIANT" in slim) engine=auto ;; *) engine=torch ;; esac; \
        echo "a document" | /venv/bin/rerankd rerank "a query" --model "$MODEL" --revision "$REVISION" --engine "$engine"; \
    fi

# The conversion is part of the build, so that a container starts in seconds; the slim image leaves
# it out, for its size, and chooses the engine while it serves. A processor of another
# kind than that of the build measures the engines again at each start: set RERANKD_ENGINE and
# RERANKD_DTYPE there, or mount a volume on /engines.
ENV RERANKD_ENGINES=/engines
RUN mkdir /engines && if [ "$VARIANT" = cpu ]; then \
        /venv/bin/rerankd optimize "${MODEL:-bundled}" --revision "$REVISION" || [ -n "$MODEL" ]; \
    fi


FROM python:${PYTHON}
ARG MODEL=
ARG REVISION=
LABEL org.opencontainers.image.title="rerankd" \
      org.opencontainers.image.description="A self-hosted HTTP reranking service" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin rerankd
RUN install -d -o rerankd -g rerankd /data
COPY --from=build /venv /venv
COPY --from=build /models /models
COPY --from=build /engines /engines

# The service writes only to HOME, and `rerankd ingest` only to /data: the root file system can be
# read-only, with a tmpfs on /tmp and a volume on /data.
ENV PATH=/venv/bin:$PATH \
    HOME=/tmp \
    HF_HUB_CACHE=/models \
    HF_HUB_DISABLE_TELEMETRY=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    RERANKD_ENGINES=/engines \
    RERANKD_HOST=0.0.0.0 \
    RERANKD_LAME_DUCK_SECONDS=10 \
    RERANKD_STORE=sqlite:/data/rerankd.db \
    RERANKD_MODEL=${MODEL:-bundled} \
    RERANKD_REVISION=${REVISION} \
    RERANKD_OFFLINE=true

USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM

# Readiness, not liveness: dependents wait until requests are served, and a container whose engine
# fails on every batch should be replaced. It does not use urllib, which would apply http_proxy.
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('RERANKD_PORT', 8000)), timeout=2); c.request('GET', '/readyz'); sys.exit(c.getresponse().status != 200)"]

ENTRYPOINT ["rerankd"]
CMD ["serve"]
