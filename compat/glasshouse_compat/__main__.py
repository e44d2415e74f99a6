"""The command line of `compat/run`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from glasshouse_compat.clients import CLIENTS, Client
from glasshouse_compat.environments import Unavailable, environment_of
from glasshouse_compat.house import open_server
from glasshouse_compat.page import write_page
from glasshouse_compat.running import Report, find_kept, keep, run_demo


def main(words: Sequence[str]) -> int:
    """0 when no check failed."""
    options = _parse(words)
    chosen = [client for client in CLIENTS if not options.clients or client.name in options.clients]
    if not options.report:
        with open_server() as url:
            for client in chosen:
                report = _run(client, url, is_loud=options.loud)
                keep(client, report)
                _tell(client, report)
    kept = {client.name: found for client in CLIENTS if (found := find_kept(client)) is not None}
    if len(kept) == len(CLIENTS):
        print(f"\n{write_page(kept)}")
    asked = [kept[client.name] for client in chosen if client.name in kept]
    return 1 if any(report.problem or report.failed for report in asked) else 0


def _run(client: Client, url: str, *, is_loud: bool) -> Report:
    try:
        environment_of(client.environment)
    except Unavailable as error:
        return Report(problem=str(error))
    return run_demo(client, url, is_loud=is_loud)


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="compat/run", description="Run real clients against a real Glasshouse.")
    names = [client.name for client in CLIENTS]
    parser.add_argument("clients", nargs="*", choices=[[], *names], metavar="CLIENT", help="; ".join(names))
    parser.add_argument("--report", action="store_true", help="only write the page, from what was found before")
    parser.add_argument("--loud", action="store_true", help="show what the clients print")
    return parser.parse_args(words)


def _tell(client: Client, report: Report) -> None:
    print(f"{client.name}: {report.problem or f'{len(report.passed)} passed, {len(report.failed)} failed'}", flush=True)
    for name, note in report.failed.items():
        print(f"    {name}: {note}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
