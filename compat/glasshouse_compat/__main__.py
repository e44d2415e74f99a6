"""The command line of `compat/run`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from glasshouse_compat.clients import CLIENTS, Client
from glasshouse_compat.environments import Unavailable, environment_of
from glasshouse_compat.house import open_server
from glasshouse_compat.page import write_page
from glasshouse_compat.running import Report, run_demo


def main(words: Sequence[str]) -> int:
    """0 when no check failed."""
    options = _parse(words)
    chosen = [client for client in CLIENTS if not options.clients or client.name in options.clients]
    reports: dict[str, Report] = {}
    for client in chosen:
        try:
            environment_of(client.environment)
        except Unavailable as error:
            reports[client.name] = Report(problem=str(error))
    with open_server() as url:
        for client in chosen:
            if client.name not in reports:
                reports[client.name] = run_demo(client, url, is_loud=options.loud)
            _tell(client, reports[client.name])
        if len(chosen) == len(CLIENTS):
            print(f"\n{write_page(reports)}")
    return 1 if any(report.problem or report.failed for report in reports.values()) else 0


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="compat/run", description="Run real clients against a real Glasshouse.")
    names = [client.name for client in CLIENTS]
    parser.add_argument("clients", nargs="*", choices=[[], *names], metavar="CLIENT", help="; ".join(names))
    parser.add_argument("--loud", action="store_true", help="show what the clients print")
    return parser.parse_args(words)


def _tell(client: Client, report: Report) -> None:
    print(f"{client.name}: {report.problem or f'{len(report.passed)} passed, {len(report.failed)} failed'}", flush=True)
    for name, note in report.failed.items():
        print(f"    {name}: {note}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
