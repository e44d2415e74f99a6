"""`python -m webui.engine`: the engine process with llama.cpp in it. It talks frames, not text: see `protocol`.

With `--low-priority` it leaves the processor to others where they want it.
"""

import os
import sys

from webui.engine.model_runner import load_any_model
from webui.engine.process import serve_process

if __name__ == "__main__":
    if "--low-priority" in sys.argv[1:] and hasattr(os, "nice"):
        os.nice(10)  # before any thread begins: each inherits it, and none can be reached later
    serve_process(load_any_model)
