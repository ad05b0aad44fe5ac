# The engine's image: the API, the worker, the listener and the migration are commands of this one image.
FROM python:3.13-slim AS build
COPY requirements.lock .
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps \
        -r requirements.lock \
    && /venv/bin/pip uninstall -q -y pip \
    && find /venv -name tests -type d -prune -exec rm -rf {} +

FROM python:3.13-slim
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PRICING_HOME=/tmp/pricing PRICING_HOST=0.0.0.0
WORKDIR /app
COPY --from=build /venv /venv
COPY shared shared
COPY api api
COPY workers workers
COPY listener listener
USER 10001:10001
EXPOSE 8000 9191 9192
CMD ["python", "-m", "api"]
