# Collator, built from this source tree with the pinned libraries of requirements-dev.txt.
#
#   docker build -t collator .
#   docker run -v collator-data:/data -p 127.0.0.1:8000:8000 collator serve --insecure --webhook https://example.org/hook
#
# Your processor goes into an image of your own: FROM collator, COPY words.py /app/, CMD ["serve", "--processor", …].

FROM python:3.13-slim AS build
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# Every pinned wheel, its hash verified; from here on nothing is fetched any more.
COPY requirements-dev.txt ./
RUN python -m pip download --quiet --require-hashes --no-deps --dest /wheels --requirement requirements-dev.txt
COPY pyproject.toml LICENSE README.md ./
COPY src ./src
RUN python -m pip wheel --quiet --no-deps --no-index --find-links /wheels --wheel-dir /wheels . \
    && python -m venv /opt/collator \
    && /opt/collator/bin/pip install --quiet --no-index --find-links /wheels 'collator[celery,postgresql]'

FROM python:3.13-slim
RUN groupadd --gid 10001 collator \
    && useradd --uid 10001 --gid collator --no-create-home --home-dir /data --shell /usr/sbin/nologin collator \
    && install --directory --owner collator --group collator --mode 0700 /data \
    && install --directory /app
COPY --from=build /opt/collator /opt/collator
# A container is reached from outside of itself; so serve asks for --tokens-file, or for --insecure.
ENV PATH=/opt/collator/bin:$PATH COLLATOR_HOST=0.0.0.0 COLLATOR_DATA_DIR=/data
USER 10001:10001
WORKDIR /app
VOLUME ["/data"]
EXPOSE 8000
STOPSIGNAL SIGTERM
# Whether it answers, and not whether it takes packets (/readyz): some engines end what is unhealthy.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('COLLATOR_PORT', '8000') + '/healthz', timeout=4)"]
# In the exec form, so that SIGTERM reaches the service and not a shell.
ENTRYPOINT ["collator"]
CMD ["serve"]
