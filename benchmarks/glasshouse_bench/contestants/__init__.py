"""Who is measured. `CONTESTANTS` is every one of them, Glasshouse first."""

from __future__ import annotations

from glasshouse_bench.contestants.base import Contestant, Running
from glasshouse_bench.contestants.glasshouse import Glasshouse
from glasshouse_bench.contestants.llama_cpp import LlamaServer, Xllamacpp
from glasshouse_bench.contestants.llama_cpp_python import BatchingServer, PlainServer
from glasshouse_bench.contestants.node_llama_cpp import NodeLlamaCpp

CONTESTANTS: tuple[Contestant, ...] = (
    Glasshouse(),
    LlamaServer(),
    LlamaServer(is_unified=True),
    Xllamacpp(),
    Xllamacpp(is_unified=True),
    BatchingServer(),
    PlainServer(),
    NodeLlamaCpp(),
)

__all__ = ["CONTESTANTS", "Contestant", "Running"]
