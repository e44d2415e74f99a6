"""The command line: which models, bars and peers; then every scenario in turn, and the page at the end."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from glasshouse_bench.chart import draw_chart
from glasshouse_bench.contestants import CONTESTANTS, Contestant
from glasshouse_bench.environments import Unavailable
from glasshouse_bench.machine import describe_machine
from glasshouse_bench.measuring import Measuring, choose
from glasshouse_bench.models import MODELS
from glasshouse_bench.results import Failure, Results, read_results
from glasshouse_bench.scenarios import BARS, SCENARIOS
from glasshouse_bench.setup import QUICK, REPOSITORY, RESULTS, Setup, Sizes
from glasshouse_bench.table import write_page


def main() -> None:
    options = _parse(sys.argv[1:])
    if options.report:
        _publish(read_results(options.report), REPOSITORY / "docs")
        return
    results = asyncio.run(_run(options))
    name = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    results.write(RESULTS / f"{name}.json")
    _publish(results, RESULTS / name if options.quick or options.no_docs else REPOSITORY / "docs")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/run", description="Measure Glasshouse against its peers.")
    keys = [contestant.key for contestant in CONTESTANTS]
    parser.add_argument("--models", type=_names(MODELS), default=list(MODELS), help=f"of {', '.join(MODELS)}")
    parser.add_argument("--bars", type=_names(BARS), default=list(BARS), help=f"of {', '.join(BARS)}")
    parser.add_argument("--peers", type=_names(keys), default=keys, help=f"of {', '.join(keys)}")
    parser.add_argument("--rounds", type=int, default=3, help="of each scenario (3)")
    parser.add_argument("--threads", type=int, default=psutil.cpu_count(logical=False) or 1, help="of each contestant")
    parser.add_argument("--quick", action="store_true", help="tiny numbers, to see that everything runs; no page")
    parser.add_argument("--no-docs", action="store_true", help="write the page beside the raw results, not to docs/")
    parser.add_argument("--report", nargs="+", type=Path, help="measure nothing: write the page from these raw results")
    return parser.parse_args(arguments)


def _names(known: Iterable[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",")]
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"“{name}” is none of {', '.join(known)}")
        return names

    return parse


async def _run(options: argparse.Namespace) -> Results:
    task = asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # the servers are stopped then
    sizes = QUICK if options.quick else Sizes()
    plain = Setup(model=MODELS["smollm2"](), threads=options.threads, sizes=sizes)
    results = Results(
        machine=describe_machine(),
        settings={
            "rounds": str(options.rounds), "threads": str(plain.threads), "slots": str(plain.slots),
            "context": f"{plain.context:,}",
        },
    )  # fmt: skip
    contestants = _prepare(results, options.peers)
    for key in options.models:
        model = MODELS[key]()
        results.models[key] = model.title
        for scenario in SCENARIOS:
            if not {bar.key for bar in scenario.bars} & set(options.bars):
                continue
            setup = Setup(model=model, threads=options.threads, sizes=sizes)
            await Measuring(results, scenario, setup).run(choose(scenario, contestants), options.rounds)
            results.write(RESULTS / "unfinished.json")
    (RESULTS / "unfinished.json").unlink(missing_ok=True)
    return results


def _prepare(results: Results, peers: list[str]) -> list[Contestant]:
    """Install them; whoever cannot be installed is named in the page with the reason."""
    ready: list[Contestant] = []
    for contestant in CONTESTANTS:
        if not contestant.is_ours and contestant.key not in peers:
            continue
        try:
            version = contestant.prepare()
        except Unavailable as error:
            results.failures.append(Failure(contestant.key, str(error)))
            print(f"{contestant.key} is not measured: {error}", flush=True)
            continue
        results.contestants[contestant.key] = {"title": contestant.title, "version": version}
        ready.append(contestant)
    return ready


def _publish(results: Results, folder: Path) -> None:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "performance.md").write_text(write_page(results))
    (folder / "images" / "performance.svg").write_text(draw_chart(results))
    print(f"Written: {folder / 'performance.md'}")
