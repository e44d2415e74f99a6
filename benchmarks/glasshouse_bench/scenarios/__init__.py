"""Every bar, in the order of the table."""

from __future__ import annotations

from glasshouse_bench.scenarios.base import Against, Bar, Figures, Scenario
from glasshouse_bench.scenarios.busy_core import BusyCore
from glasshouse_bench.scenarios.eight_people import EightPeople, EightPeopleWithHistory
from glasshouse_bench.scenarios.flood import Flood
from glasshouse_bench.scenarios.lookup import Lookup
from glasshouse_bench.scenarios.memory import Memory
from glasshouse_bench.scenarios.one_person import OnePerson
from glasshouse_bench.scenarios.paste import Paste
from glasshouse_bench.scenarios.reopening import Reopening
from glasshouse_bench.scenarios.scheduler_share import SchedulerShare
from glasshouse_bench.scenarios.second_turn import SecondTurn
from glasshouse_bench.scenarios.shared_prefix import SharedPrefix
from glasshouse_bench.scenarios.title import Title
from glasshouse_bench.scenarios.typing_ahead import TypingAhead

SCENARIOS: tuple[Scenario, ...] = (
    OnePerson(),
    EightPeople(),
    EightPeopleWithHistory(),
    Paste(),
    SharedPrefix(),
    SecondTurn(),
    Reopening(),
    TypingAhead(),
    Title(),
    Flood(),
    Lookup(),
    BusyCore(),
    SchedulerShare(),
    Memory(),
)

BARS: dict[str, Bar] = {bar.key: bar for scenario in SCENARIOS for bar in scenario.bars}

__all__ = ["BARS", "SCENARIOS", "Against", "Bar", "Figures", "Scenario"]
