# The service alone: it needs a PostgreSQL 18, by DATABASE_URL.
FROM python:3.13-slim-bookworm AS build
WORKDIR /srv
COPY requirements.txt requirements-build.txt ./
RUN python -m venv .venv \
 && .venv/bin/pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: \
    -r requirements.txt \
 && pip install --no-cache-dir --no-deps --require-hashes -r requirements-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY crossing_status crossing_status
COPY migrations migrations
COPY seeds seeds
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir dist . \
 && .venv/bin/pip install --no-cache-dir --no-deps --no-index dist/*.whl

FROM python:3.13-slim-bookworm
RUN useradd --system --no-create-home --uid 10001 crossings
WORKDIR /srv
COPY --from=build /srv/.venv .venv
ENV PATH=/srv/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 CROSSINGS_HOST=0.0.0.0
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/live', timeout=2)"]
ENTRYPOINT ["crossings"]
CMD ["serve"]
