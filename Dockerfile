# The lab as a Hugging Face Docker Space (2 CPU cores, no GPU), or on any machine with Docker:
#   docker build -t autoencoder-lab . && docker run --rm -p 8501:8501 autoencoder-lab

# The Python the tests run on; slim, because every requirement comes as a wheel and nothing is compiled.
FROM python:3.11-slim

# A Space runs its container as user 1000. Only these folders need to be written: data sets, runs, caches.
RUN useradd --create-home --uid 1000 user \
    && install -d -o user -g user /home/user/app /home/user/data /home/user/runs \
        /home/user/.cache /home/user/.cache/huggingface

ENV HOME=/home/user \
    HF_HOME=/home/user/.cache/huggingface \
    AECORE_DATA=/home/user/data \
    AECORE_RUNS=/home/user/runs \
    PYTHONUNBUFFERED=1

WORKDIR /home/user/app

# PyPI's torch for Linux brings several GB of CUDA libraries that a CPU Space never loads. PyTorch's own index has
# the same versions built for CPU; "2.14.1+cpu" counts as newer than "2.14.1" and fulfils its pin, so pip takes it.
# It is an extra index: what it does not have still comes from PyPI. The import fails the build, not the visitor,
# should the two indexes ever give a torch and a torchvision that do not belong together.
# Installed before the code is copied, so that a change of code does not install everything again.
COPY requirements.txt .
RUN pip install --no-cache-dir --root-user-action=ignore \
        --extra-index-url https://download.pytorch.org/whl/cpu -r requirements.txt \
    && python -c "import torch, torchvision"

COPY --chown=1000:1000 . .
USER 1000

EXPOSE 8501
# The slim image has no curl.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]

# address:               the Space's proxy reaches the server from outside the container
# port:                  the app_port in README.md
# headless:              there is no browser to open and no terminal to ask for an e-mail address
# enableXsrfProtection:  a Space shows the lab in a frame of another site, where browsers withhold the cookie this
#                        check compares, so uploads would be refused. Off here only: visitors have no account in the
#                        lab that a forged request could use. (xsrfCookieSameSite=none keeps the check, but uploads
#                        still fail in browsers that block third-party cookies.)
# fileWatcherType:       the code does not change while the container runs
CMD ["streamlit", "run", "app.py", \
     "--server.address=0.0.0.0", \
     "--server.port=8501", \
     "--server.headless=true", \
     "--server.enableXsrfProtection=false", \
     "--server.fileWatcherType=none"]
