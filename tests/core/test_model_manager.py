"""The page's model: who starts it, what is true of it, and that there are never two loads of one."""

from __future__ import annotations

import asyncio

import pytest

from tests.core.conftest import NewManager
from tests.core.fake_engine import PLAN, FakeCatalog, FakeEngines, model_file
from tests.core.waiting import until
from webui.config import Settings
from webui.core.model_manager import ModelManager
from webui.core.neighbours import Footprint, Neighbours
from webui.core.planning import Target
from webui.errors import (
    ContextTooLarge,
    EngineDied,
    EngineStopped,
    LoadFailed,
    LoadOvertaken,
    ModelLoadError,
    ModelTooBig,
    NoModel,
    OutOfMemory,
    UnknownModel,
)
from webui.library.memory_fit import FitPlan
from webui.store.preferences import Preferences
from webui.types import (
    EngineLoad,
    Finished,
    GenerationEvent,
    GenerationRequest,
    Message,
    ModelStatus,
    Priority,
    TextDelta,
)


async def ask(models: ModelManager, *, model: str | None = None) -> list[GenerationEvent]:
    """Ask and listen to the end."""
    request = GenerationRequest(messages=(Message(role="user", content="Hello"),), owner="me", priority=Priority.API)
    events = models.generate(request, model=model)
    return [event async for event in events]


async def ask_and_answer(models: ModelManager, engines: FakeEngines, *, model: str | None = None) -> str:
    asking = asyncio.create_task(ask(models, model=model))
    answer = await engines.next_answer()
    answer.say("Hi!")
    answer.finish()
    return "".join(event.text for event in await asking if isinstance(event, TextDelta))


# --- loading -------------------------------------------------------------------------------------------------------


async def test_nothing_is_loaded_until_somebody_asks(models: ModelManager, engines: FakeEngines) -> None:
    assert models.status == ModelStatus()
    assert engines.made == []
    assert await ask_and_answer(models, engines) == "Hi!"
    assert models.status.state == "ready"


async def test_loading_goes_through_every_state_and_tells_each(models: ModelManager, engines: FakeEngines) -> None:
    told: list[ModelStatus] = []
    models.changed.subscribe(told.append)
    status = await models.load("small")
    assert [each.state for each in told] == ["starting", "ready"]
    assert status == models.status == told[-1]
    assert (status.progress, status.memory_bytes, status.model) == (1.0, 118_000_000, model_file("small"))
    await models.unload()
    assert [each.state for each in told[2:]] == ["stopping", "stopped"]
    assert models.status == ModelStatus()


async def test_progress_is_always_true_and_told_ten_times_a_second_at_most(
    models: ModelManager, engines: FakeEngines
) -> None:
    engines.may_load.clear()
    loading = asyncio.create_task(models.load("small"))
    await until(lambda: engines.made)
    told: list[float] = []
    models.changed.subscribe(lambda status: told.append(status.progress))
    for step in range(1000):
        engines.newest.report_progress(step / 1000)
    assert models.status.progress == 0.999
    assert len(told) == 1
    engines.may_load.set()
    await loading
    assert told[-1] == 1.0


async def test_the_memory_that_the_engine_holds_is_told_as_it_grows(
    models: ModelManager, engines: FakeEngines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webui.core.live_model._MEMORY_SECONDS", 0.001)
    await models.load("small")
    told: list[int] = []
    models.changed.subscribe(lambda status: told.append(status.memory_bytes))
    engines.newest.memory_bytes = 140_000_000
    assert models.status.memory_bytes == 140_000_000, "who asks gets the truth at once"
    await until(lambda: told)
    engines.newest.memory_bytes += 1000  # too little to be worth telling
    engines.newest.memory_bytes += 50_000_000
    await until(lambda: len(told) == 2)
    assert told == [140_000_000, 190_001_000]


async def test_how_busy_the_engine_is_belongs_to_the_status(models: ModelManager, engines: FakeEngines) -> None:
    await models.load("small")
    load = EngineLoad(num_running=2, num_waiting=1)
    engines.newest.report_load(load)
    assert models.status.load == load


async def test_a_swap_stops_the_old_engine_before_it_starts_the_new_one(
    models: ModelManager, engines: FakeEngines
) -> None:
    await models.load("small")
    await models.load("large")
    await models.load("small")
    assert engines.started == ["small", "large", "small"]
    assert engines.most_at_once == 1


async def test_loading_what_is_loaded_does_nothing_but_other_options_do(
    models: ModelManager, engines: FakeEngines
) -> None:
    await models.load("small")
    await models.load("small")
    assert engines.started == ["small"]
    await models.load("small", ctx=512)
    assert engines.started == ["small", "small"]


async def test_more_context_than_the_model_was_trained_for_is_refused_and_not_remembered(
    models: ModelManager, preferences: Preferences
) -> None:
    await models.load("small")
    with pytest.raises(ContextTooLarge, match=r"trained for 2,048 tokens of context, and 100,000 were asked for"):
        await models.load("large", ctx=100_000)
    assert models.status.state == "ready"
    assert preferences.get().ctx is None
    await models.load("large", ctx=2048)
    assert (preferences.get().ctx, models.status.note) == (2048, None)


async def test_a_context_in_the_settings_that_is_too_large_for_this_model_is_lowered_and_told(
    models: ModelManager, preferences: Preferences
) -> None:
    await preferences.set(ctx=100_000)  # chosen for another model, say
    await models.ensure_loaded("small")
    assert models.status.note == (
        "2,048 tokens of context instead of the 100,000 in the settings: it was trained for 2,048"
    )
    await models.unload()
    assert models.status.note is None


async def test_a_name_that_is_no_model_changes_nothing(models: ModelManager) -> None:
    await models.load("small")
    before = models.status
    with pytest.raises(UnknownModel):
        await models.load("gpt-9")
    with pytest.raises(UnknownModel):
        await ask(models, model="gpt-9")
    assert models.status == before


# --- loads that fail -----------------------------------------------------------------------------------------------


async def test_a_load_that_fails_brings_the_former_model_back_and_still_says_so(
    models: ModelManager, engines: FakeEngines
) -> None:
    await models.load("small")
    engines.failures["large"] = OutOfMemory("large")
    with pytest.raises(OutOfMemory):
        await models.load("large")
    assert models.status.state == "ready"
    assert models.status.model == model_file("small")
    assert models.status.error == str(OutOfMemory("large"))
    assert engines.started == ["small", "large", "small"]
    assert engines.most_at_once == 1
    await models.load("small")
    assert models.status.error is None


async def test_a_load_that_fails_with_nothing_before_it_shows_failed(
    models: ModelManager, engines: FakeEngines, preferences: Preferences
) -> None:
    engines.failures["large"] = LoadFailed("large", "unknown architecture")
    with pytest.raises(LoadFailed):
        await models.load("large")
    assert models.status.state == "failed"
    assert models.status.model == model_file("large")
    assert models.status.error == "large could not be loaded: unknown architecture"
    assert preferences.get().model_id is None
    await models.unload()
    assert models.status == ModelStatus()


async def test_a_former_model_that_does_not_come_back_is_said_too(models: ModelManager, engines: FakeEngines) -> None:
    await models.load("small")
    engines.failures = {"small": OutOfMemory("small"), "large": OutOfMemory("large")}
    with pytest.raises(OutOfMemory, match="large"):
        await models.load("large")
    assert models.status.state == "failed"
    assert models.status.error == str(OutOfMemory("small"))


async def test_a_model_too_big_is_refused_before_the_running_one_is_touched(
    new_manager: NewManager, engines: FakeEngines
) -> None:
    asked: list[tuple[str, Neighbours]] = []

    def plan(target: Target, neighbours: Neighbours) -> FitPlan:
        asked.append((target.model.id, neighbours))
        if target.model.id == "large":
            raise ModelTooBig("large", 90_000_000_000, 4_000_000_000)
        return PLAN

    models = new_manager(planner=plan)
    await models.load("small")
    with pytest.raises(ModelTooBig, match=r"90\.0 GB.*4\.0 GB"):
        await models.load("large")
    assert models.status.state == "ready"
    assert models.status.model == model_file("small")
    assert models.status.error is not None and "90.0 GB" in models.status.error
    assert engines.newest.is_running
    freed = Neighbours(leaving=(Footprint(pid=None, plan=PLAN),))
    assert asked == [("small", Neighbours()), ("large", freed)], "it counts what unloading frees"
    await models.close()


async def test_a_file_that_breaks_the_planner_is_told_and_does_not_wedge_the_manager(
    new_manager: NewManager, engines: FakeEngines
) -> None:
    def plan(target: Target, neighbours: Neighbours) -> FitPlan:
        if target.model.id == "large":
            raise ZeroDivisionError
        return PLAN

    models = new_manager(planner=plan)
    with pytest.raises(LoadFailed, match="inside Glasshouse"):
        await models.load("large")
    await models.load("small")
    assert models.status.state == "ready"
    await models.close()


# --- several at once -----------------------------------------------------------------------------------------------


async def test_everybody_who_asks_during_a_load_shares_it(models: ModelManager, engines: FakeEngines) -> None:
    engines.may_load.clear()
    asking = [asyncio.create_task(ask(models)) for _ in range(5)]
    asking.append(asyncio.create_task(ask(models, model="starter")))
    await until(lambda: engines.made)
    engines.may_load.set()
    for _ in asking:
        (await engines.next_answer()).finish()
    await asyncio.gather(*asking)
    assert engines.started == ["starter"]


async def test_one_who_stops_waiting_leaves_the_load_to_the_others(models: ModelManager, engines: FakeEngines) -> None:
    engines.may_load.clear()
    impatient = asyncio.create_task(ask(models))
    await until(lambda: engines.made)
    patient = asyncio.create_task(ask(models))
    loading = asyncio.create_task(models.load("starter"))
    impatient.cancel()
    await asyncio.wait({impatient})
    assert impatient.cancelled()
    engines.may_load.set()
    (await engines.next_answer()).finish()
    await patient
    assert (await loading).state == "ready"
    assert engines.started == ["starter"]


async def test_answers_run_side_by_side(models: ModelManager, engines: FakeEngines) -> None:
    first = asyncio.create_task(ask(models))
    one = await engines.next_answer()
    second = asyncio.create_task(ask(models))
    two = await engines.next_answer()
    two.finish()
    await second
    assert not first.done()
    one.finish()
    await first


async def test_a_choice_during_a_load_takes_over_and_chats_that_waited_go_on_with_it(
    models: ModelManager, engines: FakeEngines
) -> None:
    engines.may_load.clear()
    first = asyncio.create_task(models.load("large"))
    await until(lambda: engines.made)
    asking = asyncio.create_task(ask(models))
    await asyncio.sleep(0)
    second = asyncio.create_task(models.load("small"))
    with pytest.raises(LoadOvertaken, match="another choice"):
        await first
    engines.may_load.set()
    assert (await second).model == model_file("small")
    (await engines.next_answer()).finish()
    await asking
    assert engines.most_at_once == 1


async def test_unloading_in_the_middle_of_a_load_ends_it(models: ModelManager, engines: FakeEngines) -> None:
    engines.may_load.clear()
    loading = asyncio.create_task(models.load("large"))
    asking = asyncio.create_task(ask(models))
    await until(lambda: engines.made)
    await models.unload()
    assert models.status == ModelStatus()
    assert not engines.newest.is_running
    with pytest.raises(LoadOvertaken):
        await loading
    with pytest.raises(EngineStopped):
        await asking


async def test_unloading_ends_running_answers_in_words(models: ModelManager, engines: FakeEngines) -> None:
    asking = asyncio.create_task(ask(models))
    await engines.next_answer()
    await models.unload()
    with pytest.raises(EngineStopped):
        await asking
    assert models.status == ModelStatus()


def only_one_fits(target: Target, neighbours: Neighbours) -> FitPlan:
    if neighbours.staying:
        raise ModelTooBig(target.model.name, 2, 1)
    return PLAN


async def test_a_request_for_another_model_comes_beside_the_first_one(
    models: ModelManager, engines: FakeEngines
) -> None:
    chatting = asyncio.create_task(ask(models, model="small"))
    answer = await engines.next_answer()
    assert await ask_and_answer(models, engines, model="large") == "Hi!"
    answer.finish()
    await chatting
    assert engines.started == ["small", "large"]
    assert engines.most_at_once == 2
    assert models.status.model == model_file("small"), "the page keeps its model"
    assert [(each.model.id, each.is_page) for each in models.alive] == [("small", True), ("large", False)]


async def test_without_room_a_request_waits_for_running_answers_but_a_persons_choice_does_not(
    new_manager: NewManager, engines: FakeEngines
) -> None:
    models = new_manager(planner=only_one_fits)
    chatting = asyncio.create_task(ask(models, model="small"))
    answer = await engines.next_answer()
    program = asyncio.create_task(ask(models, model="large"))
    answer.say("still here")
    await until(lambda: models.pool.is_loading("large"))
    assert engines.started == ["small"]
    answer.finish()
    assert isinstance((await chatting)[-1], Finished)
    swapped = await engines.next_answer()
    assert engines.started == ["small", "large"]
    await models.load("small")
    with pytest.raises(EngineStopped):
        await program
    assert swapped.is_cancelled or engines.started == ["small", "large", "small"]


async def test_a_choice_hurries_a_load_that_was_waiting_for_answers_to_end(
    new_manager: NewManager, engines: FakeEngines
) -> None:
    models = new_manager(planner=only_one_fits)
    chatting = asyncio.create_task(ask(models, model="small"))
    await engines.next_answer()
    program = asyncio.create_task(ask(models, model="large"))
    await until(lambda: models.pool.is_loading("large"))
    await models.load("large")
    with pytest.raises(EngineStopped):
        await chatting
    (await engines.next_answer()).finish()
    await program
    assert engines.started == ["small", "large"]


async def test_a_choice_while_the_old_engine_is_still_stopping_waits_until_it_is_gone(
    models: ModelManager, engines: FakeEngines
) -> None:
    await models.load("small")
    engines.may_stop.clear()
    first = asyncio.create_task(models.load("large"))
    await until(lambda: models.status.state == "stopping")
    second = asyncio.create_task(models.load("starter"))
    with pytest.raises(LoadOvertaken):
        await first
    for _ in range(20):
        await asyncio.sleep(0)
    assert engines.started == ["small"]
    engines.may_stop.set()
    await second
    assert engines.started == ["small", "starter"]
    assert engines.most_at_once == 1


async def test_a_choice_that_fails_after_another_was_given_up_brings_back_what_ran_before_both(
    models: ModelManager, engines: FakeEngines
) -> None:
    await models.load("small")
    engines.may_load.clear()
    first = asyncio.create_task(models.load("large"))
    await until(lambda: len(engines.made) == 2)
    engines.failures["starter"] = OutOfMemory("starter")
    second = asyncio.create_task(models.load("starter"))
    engines.may_load.set()
    for load in (first, second):
        with pytest.raises(ModelLoadError):
            await load
    assert models.status.state == "ready"
    assert models.status.model == model_file("small")


# --- an engine that dies -------------------------------------------------------------------------------------------


async def test_an_engine_that_dies_turns_the_status_red_and_the_next_request_starts_it_again(
    models: ModelManager, engines: FakeEngines
) -> None:
    await models.load("large")
    asking = asyncio.create_task(ask(models))
    await engines.next_answer()
    engines.newest.die("it was killed")
    with pytest.raises(EngineDied):
        await asking
    failed = models.status
    assert (failed.state, failed.model, failed.memory_bytes) == ("failed", model_file("large"), 0)
    assert failed.error is not None and "it was killed" in failed.error
    assert await ask_and_answer(models, engines) == "Hi!"
    assert models.status.state == "ready"
    assert engines.started == ["large", "large"]


async def test_a_crashing_model_is_only_started_when_somebody_asks(models: ModelManager, engines: FakeEngines) -> None:
    await models.load("small")
    for round_number in range(1, 4):
        engines.newest.die()
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(engines.made) == round_number
        await models.ensure_loaded()


async def test_a_model_that_dies_as_soon_as_it_is_loaded_is_not_loaded_over_and_over(
    models: ModelManager, engines: FakeEngines
) -> None:
    def die(status: ModelStatus) -> None:
        if status.state == "ready":
            engines.newest.die()

    models.changed.subscribe(die)
    for round_number in (1, 2):
        with pytest.raises(EngineDied):
            await ask(models)
        assert len(engines.made) == round_number


async def test_what_a_former_engine_says_late_is_not_listened_to(models: ModelManager, engines: FakeEngines) -> None:
    await models.load("small")
    former = engines.newest
    await models.load("large")
    former.die()
    former.report_load(EngineLoad(num_running=9))
    former.report_progress(0.3)
    assert models.status.state == "ready"
    assert models.status.load == EngineLoad()


async def test_an_engine_that_dies_between_loading_and_the_news_of_it_is_not_called_ready(
    models: ModelManager, engines: FakeEngines
) -> None:
    engines.may_load.clear()
    loading = asyncio.create_task(models.load("small"))
    await until(lambda: engines.made)
    engines.may_load.set()
    engines.newest.die()
    with pytest.raises(EngineDied):
        await loading
    assert models.status.state == "failed"


# --- which model ---------------------------------------------------------------------------------------------------


async def test_the_choice_survives_a_restart(
    preferences: Preferences, models: ModelManager, new_manager: NewManager
) -> None:
    await models.load("large", ctx=1024, gpu_layers=3)
    await models.close()
    targets: list[Target] = []

    def plan(target: Target, neighbours: Neighbours) -> FitPlan:
        targets.append(target)
        return PLAN

    await preferences.load()
    restarted = new_manager(planner=plan)
    await restarted.ensure_loaded()
    assert targets == [Target(model_file("large"), ctx=1024, gpu_layers=3)]
    await restarted.close()


async def test_the_flag_goes_before_the_choice_and_what_was_loaded_before_both(
    preferences: Preferences, settings: Settings, engines: FakeEngines, new_manager: NewManager
) -> None:
    await preferences.set(model_id="small")
    models = new_manager(settings=settings.model_copy(update={"model": "large"}))
    assert (await models.default()).id == "large"
    await models.ensure_loaded()
    assert engines.started == ["large"]
    await models.load("starter")
    await models.unload()
    assert (await models.default()).id == "starter"
    await models.ensure_loaded()
    assert engines.started == ["large", "starter", "starter"]
    await models.close()


async def test_a_chosen_model_that_is_gone_gives_way_to_the_starter_model(
    models: ModelManager, preferences: Preferences, engines: FakeEngines
) -> None:
    await preferences.set(model_id="deleted by hand")
    await models.ensure_loaded()
    assert engines.started == ["starter"]


async def test_the_only_model_of_ones_own_goes_before_the_starter_model(
    models: ModelManager, catalog: FakeCatalog, engines: FakeEngines
) -> None:
    catalog.models = [
        model_file("starter", source="starter"), model_file("mine"), model_file("broken", problem="damaged"),
    ]  # fmt: skip
    await models.ensure_loaded()
    assert engines.started == ["mine"]


async def test_with_several_models_and_no_choice_nothing_is_guessed(models: ModelManager, catalog: FakeCatalog) -> None:
    catalog.models = [model_file("one"), model_file("two")]
    with pytest.raises(NoModel):
        await models.ensure_loaded()
    assert models.status == ModelStatus()


async def test_deleting_the_loaded_model_unloads_it_first_and_forgets_the_choice(
    models: ModelManager, preferences: Preferences, engines: FakeEngines
) -> None:
    news: list[None] = []
    models.catalog_changed.subscribe(news.append)
    await models.load("small")
    await models.delete("small")
    assert models.status == ModelStatus()
    assert [model.id for model in await models.models()] == ["large", "starter"]
    assert preferences.get().model_id is None
    assert len(news) == 1
    await models.ensure_loaded("large")
    assert engines.most_at_once == 1


async def test_deleting_another_model_leaves_the_loaded_one_running(models: ModelManager, engines: FakeEngines) -> None:
    await models.load("small")
    await models.delete("large")
    assert models.status.state == "ready"
    assert engines.newest.is_running


async def test_a_name_that_cannot_be_loaded_harms_nobody_else(new_manager: NewManager, engines: FakeEngines) -> None:
    def plan(target: Target, neighbours: Neighbours) -> FitPlan:
        if target.model.id == "large":
            raise ModelTooBig("large", 2, 1)
        return PLAN

    models = new_manager(planner=plan)
    await models.load("small")
    engine = await models.ensure_loaded()
    refused = asyncio.create_task(models.ensure_loaded("large"))
    await asyncio.sleep(0)
    assert await models.ensure_loaded() is engine
    with pytest.raises(ModelTooBig):
        await refused
    await models.close()


async def test_a_broken_file_is_refused_while_others_are_answered(
    catalog: FakeCatalog, new_manager: NewManager, engines: FakeEngines
) -> None:
    def plan(target: Target, neighbours: Neighbours) -> FitPlan:
        if target.model.problem is not None:
            raise LoadFailed(target.model.id, target.model.problem)
        return PLAN

    catalog.models.append(model_file("broken", problem="damaged"))
    models = new_manager(planner=plan)
    await models.load("small")
    asking = asyncio.create_task(ask(models))
    answer = await engines.next_answer()
    with pytest.raises(LoadFailed):
        await asyncio.wait_for(models.ensure_loaded("broken"), timeout=5)
    answer.finish()
    await asking
    await models.close()
