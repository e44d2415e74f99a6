"""llama.cpp's server inside Python, through xllamacpp. Runs in the peer's environment; imports nothing of ours."""

import signal
import sys

import xllamacpp


def main() -> None:
    """Serve until a signal. Arguments: model, port, context of all slots, slots, threads, 1 for one unified KV."""
    params = xllamacpp.CommonParams()
    params.model.path = sys.argv[1]
    port, context, slots, threads, is_unified = (int(argument) for argument in sys.argv[2:])
    params.port = port
    params.n_ctx = context
    params.n_parallel = slots
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.kv_unified = bool(is_unified)
    params.n_gpu_layers = 0
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})  # its threads inherit this
main()
