"""`python -m webui.engine`: the engine process with llama.cpp in it. It talks frames, not text: see `protocol`."""

from webui.engine.model_runner import load_any_model
from webui.engine.process import serve_process

if __name__ == "__main__":
    serve_process(load_any_model)
