"""What a scenario is: something that people do, measured on one contestant; and the bars set on its figures."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from glasshouse_bench.client import Client
from glasshouse_bench.setup import Setup

Figures = dict[str, float]


class Against(Enum):
    """What a figure is held against."""

    REFERENCE = "llama.cpp's server"  #: the best of its builds and KV modes that were measured, round by round
    OURSELVES = "our own"  #: another figure of the same round
    NOTHING = "nothing"  #: the figure itself


@dataclass(frozen=True)
class Bar:
    """One row of the table. `limit` is a ratio, or a figure in `unit` where it is held against nothing."""

    key: str
    sentence: str
    metric: str
    unit: str
    limit: float
    at_least: bool  #: False: at most
    against: Against = Against.REFERENCE
    baseline: str = ""  #: the other figure, where it is held against OURSELVES

    def is_met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


class Scenario:
    """`prepare` happens once for each contestant and is not measured; what it returns is handed to every `measure`.

    `seed` is another one in each round, the same for all contestants. A scenario about Glasshouse's insides overrides
    `measure_engine` instead of `measure`; one that has both asks the others over HTTP.
    """

    bars: tuple[Bar, ...] = ()
    both_kv_modes = False  #: llama.cpp's server in both of its KV modes
    asks_everybody = False  #: also the peers that no bar is about

    @property
    def key(self) -> str:
        """Its name in results."""
        return type(self).__name__

    async def prepare(self, client: Client, setup: Setup) -> Any:
        return None

    async def measure(self, client: Client, setup: Setup, seed: str, prepared: Any) -> Figures:
        raise NotImplementedError

    async def measure_engine(self, setup: Setup, seed: str) -> Figures:
        raise NotImplementedError

    @classmethod
    def is_about_engine(cls) -> bool:
        return cls.measure_engine is not Scenario.measure_engine

    @classmethod
    def is_over_http(cls) -> bool:
        return cls.measure is not Scenario.measure
