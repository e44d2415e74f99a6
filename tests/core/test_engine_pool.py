"""What is alive: who makes room for whom, who stays how long, and that one engine's end is nobody else's."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from msgspec import structs

from tests.core.conftest import NewManager
from tests.core.fake_engine import PLAN, FakeCatalog, FakeEngines, model_file
from tests.core.test_model_manager import ask, ask_and_answer
from tests.core.waiting import until
from webui.config import Settings
from webui.core.model_manager import ModelManager
from webui.core.model_records import ModelRecords
from webui.core.neighbours import Neighbours
from webui.core.planning import Planner, Target
from webui.errors import EngineDied, EngineStopped, LoadFailed, LoadOvertaken, ModelTooBig, OutOfMemory
from webui.library.fit_ladder import FitStep
from webui.library.memory_fit import DeviceUse, FitPlan
from webui.store.model_values import ModelDefaults, ModelPreset
from webui.types import ModelStatus, TextDelta

BRIEF = ModelDefaults(system_prompt="Be brief.")
SIZES = {"tiny": 1, "small": 2, "newcomer": 2, "starter": 3, "large": 6}


def memory_of(total: int) -> Planner:
    """A machine with so much memory, of which each model takes what SIZES says."""

    def plan(target: Target, neighbours: Neighbours) -> FitPlan:
        free = total - sum(staying.plan.ram_needed for staying in neighbours.staying)
        needed = SIZES[target.model.id]
        if needed > free:
            raise ModelTooBig(target.model.name, needed, free)
        return replace(PLAN, ram_needed=needed)

    return plan


def alive(models: ModelManager) -> list[str]:
    return [each.model.id for each in models.alive]


@pytest.fixture(autouse=True)
def _tiny(catalog: FakeCatalog) -> None:
    catalog.models += [model_file("tiny"), model_file("newcomer")]


async def use(models: ModelManager, engines: FakeEngines, *names: str) -> None:
    """Ask each of them something, one after the other."""
    for name in names:
        assert await ask_and_answer(models, engines, model=name) == "Hi!"


# --- room ------------------------------------------------------------------------------------------------------------


async def test_the_least_recently_used_idle_model_makes_room(new_manager: NewManager, engines: FakeEngines) -> None:
    models = new_manager(planner=memory_of(6))
    await use(models, engines, "starter", "small", "tiny", "starter")
    assert alive(models) == ["starter", "small", "tiny"]
    await use(models, engines, "newcomer")
    assert alive(models) == ["starter", "tiny", "newcomer"], "small was used before the others"
    await use(models, engines, "large")
    assert alive(models) == ["large"], "it needs all of it"


async def test_no_more_go_than_are_in_the_way(new_manager: NewManager, engines: FakeEngines) -> None:
    models = new_manager(planner=memory_of(9))
    await use(models, engines, "tiny", "large", "small", "starter")
    assert alive(models) == ["tiny", "small", "starter"], "tiny was used least recently, and was not in the way"


async def test_a_model_that_could_never_fit_is_refused_and_nobody_goes(
    new_manager: NewManager, engines: FakeEngines
) -> None:
    models = new_manager(planner=memory_of(5))
    await use(models, engines, "small", "starter")
    with pytest.raises(ModelTooBig):
        await ask(models, model="large")
    assert alive(models) == ["small", "starter"]
    assert models.status.state == "ready" and models.status.error is None, "the page's model has nothing to do with it"


async def test_an_idle_model_gives_its_gpu_to_one_that_would_have_to_do_without(
    new_manager: NewManager, engines: FakeEngines
) -> None:
    def plan(target: Target, neighbours: Neighbours) -> FitPlan:
        """Beside another one there is room in RAM alone."""
        options = structs.replace(PLAN.options, gpu_layers=0 if neighbours.staying else -1)
        return replace(PLAN, options=options, devices=(DeviceUse("RAM", 9, 9), DeviceUse("a GPU", 9, 9)))

    models = new_manager(planner=plan)
    await use(models, engines, "small", "large")
    assert alive(models) == ["large"]


async def test_eight_requests_to_two_models_that_do_not_fit_together_are_all_answered(
    new_manager: NewManager, engines: FakeEngines
) -> None:
    models = new_manager(planner=memory_of(6))
    asking = [asyncio.create_task(ask(models, model=("small", "large")[number % 2])) for number in range(8)]
    for _ in asking:
        (await engines.next_answer()).finish()
    await asyncio.gather(*asking)
    assert engines.started == ["small", "large"], "those for one model are answered together"
    assert engines.most_at_once == 1


async def test_who_is_asked_all_the_time_gives_way_to_who_waits_and_comes_back(
    new_manager: NewManager, engines: FakeEngines
) -> None:
    models = new_manager(planner=memory_of(6))
    first = asyncio.create_task(ask(models, model="small"))
    running = await engines.next_answer()
    waiting = asyncio.create_task(ask(models, model="large"))
    await until(lambda: models.pool.is_loading("large"))
    late = asyncio.create_task(ask(models, model="small"))
    await until(lambda: models.pool.is_loading("small"))
    assert len(engines.newest.answers) == 1, "the late one must not keep the other from its turn"
    running.finish()
    for _ in range(2):
        (await engines.next_answer()).finish()
    await asyncio.gather(first, waiting, late)
    assert engines.started == ["small", "large", "small"]


async def test_one_who_gives_up_waiting_takes_no_room_from_anybody(
    new_manager: NewManager, engines: FakeEngines
) -> None:
    models = new_manager(planner=memory_of(6))
    first = asyncio.create_task(ask(models, model="small"))
    running = await engines.next_answer()
    waiting = asyncio.create_task(ask(models, model="large"))
    await until(lambda: models.pool.is_loading("large"))
    waiting.cancel()
    await until(lambda: not models.pool.is_loading("large"))
    await use(models, engines, "small")
    running.finish()
    await first
    assert engines.started == ["small"]


async def test_a_person_takes_the_room_that_programs_use(new_manager: NewManager, engines: FakeEngines) -> None:
    models = new_manager(planner=memory_of(6))
    await models.load("small")
    program = asyncio.create_task(ask(models, model="starter"))
    await engines.next_answer()
    await models.load("large")
    with pytest.raises(EngineStopped):
        await program
    assert (alive(models), models.status.model) == (["large"], model_file("large"))


async def test_a_person_may_choose_what_a_program_has_loaded_already(
    models: ModelManager, engines: FakeEngines
) -> None:
    await models.load("small")
    await use(models, engines, "large")
    await models.load("large")
    assert engines.started == ["small", "large"], "it is not loaded twice"
    assert (alive(models), models.status.model) == (["large"], model_file("large"))


async def test_a_preset_loads_its_model_anew_only_for_what_loading_decides(
    new_manager: NewManager, records: ModelRecords, engines: FakeEngines
) -> None:
    models = new_manager()
    await records.save_preset(ModelPreset(name="brief", model_id="", defaults=BRIEF), model_file("small"))
    long = structs.replace(BRIEF, ctx=1024)
    await records.save_preset(ModelPreset(name="long", model_id="", defaults=long), model_file("small"))
    await use(models, engines, "small", "brief")
    assert len(engines.made) == 1, "another prompt is no reason"
    await use(models, engines, "long", "small", "brief", "long")
    assert len(engines.made) == 2, "a longer context is, and then it does for all"
    assert engines.most_at_once == 1, "never two loads of one model"


# --- one engine's end ------------------------------------------------------------------------------------------------


async def test_an_engine_that_is_killed_leaves_the_others_alone(models: ModelManager, engines: FakeEngines) -> None:
    await models.load("small")
    page = asyncio.create_task(ask(models))
    answer = await engines.next_answer()
    guest = asyncio.create_task(ask(models, model="large"))
    await engines.next_answer()
    engines.newest.die()
    with pytest.raises(EngineDied):
        await guest
    assert (alive(models), models.status.state) == (["small"], "ready")
    answer.say("still here")
    answer.finish()
    assert TextDelta(text="still here") in await page
    await use(models, engines, "large")


async def test_the_pages_model_is_started_again_later_each_time_and_not_for_ever(
    new_manager: NewManager, engines: FakeEngines
) -> None:
    models = new_manager(restart_seconds=0.001)
    await models.load("small")
    for number in range(1, 5):
        engines.newest.die("it was killed")
        note = models.status.note
        assert note is not None and f"again in {0.001 * 2 ** (number - 1):g} seconds (crash {number} of 5)" in note
        await until(lambda: models.status.state == "ready")
    engines.newest.die("it was killed")
    assert models.status.note is not None and "crashed 5 times in a row" in models.status.note
    await asyncio.sleep(0.05)
    assert (models.status.state, len(engines.made)) == ("failed", 5)
    await use(models, engines, "small")
    assert models.status.note is None
    engines.newest.die()
    assert models.status.note is not None and "crash 1 of 5" in models.status.note, "an answer says that all is well"


async def test_a_restart_that_fails_is_tried_again_and_a_person_ends_it(
    new_manager: NewManager, engines: FakeEngines
) -> None:
    models = new_manager(restart_seconds=0.001)
    await models.load("small")
    engines.failures["small"] = OutOfMemory("small")
    engines.newest.die()
    await until(lambda: models.status.note is not None and "crashed 5 times" in models.status.note)
    assert models.status.error == str(OutOfMemory("small"))
    del engines.failures["small"]
    models = new_manager(restart_seconds=3600)
    await models.load("small")
    engines.newest.die()
    await models.unload()
    assert models.status == ModelStatus(), "nothing is going to be started by itself"


# --- how long they stay ----------------------------------------------------------------------------------------------


async def test_the_pages_model_stays_and_a_guest_goes_when_nobody_uses_it(
    new_manager: NewManager, engines: FakeEngines
) -> None:
    models = new_manager(guest_seconds=0.01)
    await models.load("small")
    await use(models, engines, "large")
    await until(lambda: alive(models) == ["small"])
    assert models.alive[0].seconds_left is None


async def test_a_setting_lets_the_pages_model_go_too_and_the_next_message_brings_it_back(
    new_manager: NewManager, settings: Settings, engines: FakeEngines
) -> None:
    models = new_manager(settings=settings.model_copy(update={"idle_unload": "0.01s"}))
    await models.load("large")
    await until(lambda: models.status.state == "stopped")
    assert await ask_and_answer(models, engines) == "Hi!"
    assert engines.started == ["large", "large"]


async def test_a_busy_model_never_goes(new_manager: NewManager, engines: FakeEngines) -> None:
    models = new_manager(guest_seconds=0.01)
    await models.load("small")
    asking = asyncio.create_task(ask(models, model="large"))
    answer = await engines.next_answer()
    await asyncio.sleep(0.05)
    assert alive(models) == ["small", "large"]
    answer.finish()
    await asking
    await until(lambda: alive(models) == ["small"])


async def test_a_request_says_how_long_its_model_stays(models: ModelManager, engines: FakeEngines) -> None:
    await models.load_beside("large", keep_alive=1000)
    assert 990 < (models.alive[0].seconds_left or 0) <= 1000
    await models.load_beside("large", keep_alive=-1)
    assert models.alive[0].seconds_left is None
    await models.load_beside("large", keep_alive=0)
    await until(lambda: not models.alive)


# --- loads that fail -------------------------------------------------------------------------------------------------


def two_steps(_target: Target, failed: FitPlan) -> list[FitStep]:
    smaller = replace(failed, options=structs.replace(failed.options, context_tokens=1024))
    smallest = replace(failed, options=structs.replace(failed.options, context_tokens=512))
    return [FitStep("with 1,024 tokens of context", smaller), FitStep("with 512 tokens of context", smallest)]


async def test_a_load_for_which_memory_ran_out_walks_down_a_ladder_and_tells_each_step(
    new_manager: NewManager, engines: FakeEngines
) -> None:
    models = new_manager(ladder=two_steps)
    told: list[tuple[str, str | None]] = []
    models.changed.subscribe(lambda status: told.append((status.state, status.note)))
    engines.fits = lambda options: options.context_tokens <= 512
    status = await models.load("large")
    assert status.info is not None and status.info.options.context_tokens == 512
    assert [note for state, note in told if state == "starting" and note] == [
        "Trying again with 1,024 tokens of context",
        "Trying again with 512 tokens of context",
    ]
    assert status.note == "It did not load as planned, and runs with 512 tokens of context"
    assert len(engines.made) == 3


async def test_at_the_foot_of_the_ladder_it_says_why_the_first_one_failed(
    new_manager: NewManager, engines: FakeEngines
) -> None:
    models = new_manager(ladder=two_steps)
    engines.failures["large"] = OutOfMemory("large")
    with pytest.raises(OutOfMemory):
        await models.load("large")
    assert (models.status.state, models.status.error) == ("failed", str(OutOfMemory("large")))
    engines.failures["large"] = LoadFailed("large", "unknown architecture")
    with pytest.raises(LoadFailed):
        await models.load("large")
    assert len(engines.made) == 4, "a smaller plan does not mend a file"


async def test_a_choice_ends_another_one_in_the_middle_of_its_ladder(
    new_manager: NewManager, engines: FakeEngines
) -> None:
    models = new_manager(ladder=two_steps)
    engines.fits = lambda options: options.context_tokens <= 512
    engines.may_load.clear()
    first = asyncio.create_task(models.load("large"))
    await until(lambda: engines.made)
    engines.fits = lambda options: True
    second = asyncio.create_task(models.load("small"))
    with pytest.raises(LoadOvertaken):
        await first
    engines.may_load.set()
    assert (await second).model == model_file("small")
    assert engines.most_at_once == 1
