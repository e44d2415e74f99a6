"""The engine process: one GGUF, one decode loop, many sequences. Only `engine.protocol` is for other rooms."""
