"""Images are looked at beside the loop: others are answered meanwhile, and nobody is forgotten."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import msgspec

from tests.engine.script import Script, ask, play
from webui.engine.image_span import ImagePart, image_ids
from webui.engine.looking import MAX_WAITING
from webui.engine.protocol import Cancel, CountPrompt, Generate, Happened, Pause, Probe, Probed, PromptCount, Resume
from webui.errors import ContextTooLong, EngineBusy, InvalidRequest
from webui.types import Finished, Image, Message

ROWS = 12


@dataclass
class SlowVision:
    """Looks at an image when `may_look` is set; b"broken" is none."""

    may_look: threading.Event = field(default_factory=threading.Event)
    threads: set[str] = field(default_factory=set)
    seen: set[bytes] = field(default_factory=set)
    order: list[bytes] = field(default_factory=list)

    def look(self, image: Image) -> tuple[list[int] | ImagePart, ...]:
        self.threads.add(threading.current_thread().name)
        assert self.may_look.wait(10), "nobody lets it look"
        if image.data == b"broken":
            raise InvalidRequest("The image is damaged.")
        self.seen.add(image.data)
        self.order.append(image.data)
        return ([ord("<")], ImagePart(image.data, image_ids(image.data, ROWS), False, b"", ROWS), [ord(">")])

    def known_count(self, image: Image) -> int | None:
        return ROWS + 2 if image.data in self.seen else None

    def keep(self, image: Image) -> None:
        """Nothing is let go here."""


def show(request_id: int, data: bytes = b"cat") -> Generate:
    command = ask(request_id)
    message = Message(role="user", content="What is it?", images=(Image(data=data),))
    return msgspec.structs.replace(command, request=msgspec.structs.replace(command.request, messages=(message,)))


def let_look_when_ended(script: Script, vision: SlowVision, request_id: int) -> None:
    def watch(report: object) -> None:
        if isinstance(report, Happened) and report.request_id == request_id and isinstance(report.event, Finished):
            vision.may_look.set()

    script.on_report = watch


def test_others_are_answered_while_an_image_is_looked_at() -> None:
    script, vision = Script(show(1), ask(2)), SlowVision()
    let_look_when_ended(script, vision, 2)
    play(script, vision=vision)
    assert script.end(1).usage.prompt_tokens == script.end(2).usage.prompt_tokens + len("What is it?<>") - 2 + ROWS
    assert vision.threads == {"images", "MainThread"}, "the loop asks only for what is known"


def test_who_has_many_images_does_not_hold_up_who_has_one() -> None:
    many = tuple(Image(data=b"%d" % number) for number in range(10))
    album = msgspec.structs.replace(ask(1).request, messages=(Message(role="user", content="Which?", images=many),))
    script, vision = Script(Generate(request_id=1, request=album), show(2), ask(3)), SlowVision()
    let_look_when_ended(script, vision, 3)
    play(script, vision=vision)
    assert vision.order.index(b"cat") <= 2
    assert script.end(1).reason == script.end(2).reason == "length"


def test_what_is_cancelled_while_it_is_looked_at_ends_at_once() -> None:
    script, vision = Script(show(1), Cancel(request_id=1), ask(2)), SlowVision()
    let_look_when_ended(script, vision, 2)
    play(script, vision=vision)
    assert script.end(1).reason == "cancelled"
    assert script.end(1).usage.prompt_tokens == 0


def test_a_pause_holds_when_the_image_is_known() -> None:
    script, vision = Script(show(1), Pause(request_id=1), ask(2), Resume(request_id=1)), SlowVision()
    let_look_when_ended(script, vision, 2)
    play(script, vision=vision)
    assert script.end(1).reason == "length"


def test_a_broken_image_is_told_and_the_next_one_seen() -> None:
    script, vision = Script(show(1, b"broken"), show(2)), SlowVision()
    vision.may_look.set()
    play(script, vision=vision)
    assert "damaged" in str(script.failure(1).error)
    assert script.end(2).reason == "length"


def test_a_prompt_with_an_image_is_counted() -> None:
    script, vision = Script(Probe(request_id=1, asked=CountPrompt(request=show(9).request)), show(2)), SlowVision()
    vision.may_look.set()
    play(script, vision=vision)
    (found,) = (report.finding for report in script.reports if isinstance(report, Probed))
    assert found == PromptCount(num_tokens=script.end(2).usage.prompt_tokens)


def test_what_would_not_fit_is_not_looked_at() -> None:
    """A context of 400 tokens holds 28 such images: the oldest are not looked at, and the error names the number."""
    message = Message(role="user", content="Which?", images=tuple(Image(data=b"%d" % number) for number in range(60)))
    command = ask(1)
    command = msgspec.structs.replace(command, request=msgspec.structs.replace(command.request, messages=(message,)))
    script, vision = Script(command), SlowVision()
    vision.may_look.set()
    play(script, vision=vision)
    assert isinstance(script.failure(1).error, ContextTooLong)
    assert 28 < len(vision.seen) < 32
    assert b"59" in vision.seen, "the newest first"


def test_so_many_may_wait() -> None:
    script, vision = Script(*(show(number) for number in range(MAX_WAITING + 1)), ask(99)), SlowVision()
    let_look_when_ended(script, vision, 99)
    play(script, vision=vision)
    assert isinstance(script.failure(MAX_WAITING).error, EngineBusy)
    assert all(script.end(number).reason == "length" for number in range(MAX_WAITING))
