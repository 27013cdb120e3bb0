# The whole service in one image: serve a repository and tune heads on it.
#   docker build -t graft .
#   docker run -p 8500:8500 -p 8501:8501 -v "$PWD/models:/models" -v graft-state:/state graft
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY service service
COPY training training
RUN python -m venv /opt/graft \
 && /opt/graft/bin/pip install --no-cache-dir -c constraints.txt '.[presets]'

FROM python:3.11-slim
COPY --from=build /opt/graft /opt/graft
RUN useradd --create-home graft && mkdir /models /state && chown graft /models /state
USER graft
ENV PATH=/opt/graft/bin:$PATH PYTHONUNBUFFERED=1 TF_CPP_MIN_LOG_LEVEL=3 \
    GRAFT_HOST=0.0.0.0 GRAFT_REPOSITORY=/models GRAFT_STATE=/state
EXPOSE 8500 8501
VOLUME ["/models", "/state"]
# SIGTERM drains: readiness falls, accepted requests finish. Give it longer than drain + shutdown seconds.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --start-period=60s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8501/readyz', timeout=3)"]
ENTRYPOINT ["graft", "serve"]
