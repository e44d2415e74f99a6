"""`python -m webui.workbench`: one request as a line of JSON on stdin, reports as lines on stdout; see `protocol`."""

import os

from webui.workbench.dispatch import run_request
from webui.workbench.process import serve_process

if __name__ == "__main__":
    os.environ.setdefault("GOMP_SPINCOUNT", "300")  # for llama.cpp's threads beside busy programs: see engine_client
    serve_process(run_request)
