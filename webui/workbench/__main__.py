"""`python -m webui.workbench`: one request as a line of JSON on stdin, reports as lines on stdout; see `protocol`."""

from webui.workbench.dispatch import run_request
from webui.workbench.process import serve_process

if __name__ == "__main__":
    serve_process(run_request)
