"""The figures as a picture: `docs/images/performance.svg`.

One pair of bars for each row that Glasshouse and llama.cpp's server share; within a pair the longer one fills the
width. It reads in light and in dark.
"""

from __future__ import annotations

import textwrap
from html import escape

from glasshouse_bench.results import Results
from glasshouse_bench.scenarios import SCENARIOS, Against
from glasshouse_bench.table import number as short
from glasshouse_bench.verdict import Verdict, judge

_WIDTH, _LABELS, _BARS = 880, 310, 420
_CHARACTERS = 44  #: of a label's line
_ROW, _GAP, _TOP = 64, 28, 64
_STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2937 }
  .title { font-weight: 600; font-size: 16px } .note { fill: #6b7280 } .figure { font-variant-numeric: tabular-nums }
  .ours { fill: #4f46e5 } .theirs { fill: #9ca3af }
  @media (prefers-color-scheme: dark) {
    text { fill: #e5e7eb } .note { fill: #9ca3af } .ours { fill: #818cf8 } .theirs { fill: #6b7280 }
  }"""


def draw_chart(results: Results) -> str:
    """The picture as SVG."""
    y = _TOP
    body: list[str] = []
    for model, title in results.models.items():
        verdicts = _shared(results, model)
        if not verdicts:
            continue
        body.append(_text(0, y, title, "title"))
        y += _GAP
        for verdict in verdicts:
            body.append(_pair(y, verdict))
            y += _ROW
        y += _GAP
    legend = _rectangle(0, 8, 12, "ours") + _text(18, 19, "Glasshouse") + _rectangle(120, 8, 12, "theirs")
    legend += _text(138, 19, "llama.cpp’s own server, the best of its builds and KV modes")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" width="{_WIDTH}" height="{y}" role="img" '
        f'aria-label="Glasshouse beside llama.cpp’s own server">\n<style>{_STYLE}\n</style>\n{legend}\n'
        + "\n".join(body)
        + "\n</svg>\n"
    )


def _shared(results: Results, model: str) -> list[Verdict]:
    verdicts = [judge(results, model, scenario, bar) for scenario in SCENARIOS for bar in scenario.bars]
    return [verdict for verdict in verdicts if verdict.bar.against is Against.REFERENCE and verdict.outcome]


def _pair(y: int, verdict: Verdict) -> str:
    assert verdict.ours and verdict.other and verdict.outcome, "only measured rows are drawn"
    bar = verdict.bar
    better = "more is better" if bar.at_least else "less is better"
    longest = max(verdict.ours.median, verdict.other.median)
    lines = textwrap.wrap(bar.sentence, _CHARACTERS)
    parts = [_text(0, y + 12 + 16 * number, line) for number, line in enumerate(lines)]
    parts.append(_text(0, y + 12 + 16 * len(lines), f"{short(verdict.outcome.median)} ×, {better}", "note"))
    for offset, summary, kind in ((0, verdict.ours, "ours"), (19, verdict.other, "theirs")):
        width = max(2.0, _BARS * summary.median / longest)
        figure = f"{short(summary.median)} {bar.unit}"
        parts.append(_rectangle(_LABELS, y + offset, width, kind, height=15))
        parts.append(_text(_LABELS + width + 8, y + offset + 12, figure, "figure"))
    return "".join(parts)


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{escape(text)}</text>' if text else ""


def _rectangle(x: float, y: float, width: float, kind: str, height: float = 12) -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:.1f}" height="{height:g}" rx="3" class="{kind}"/>'
