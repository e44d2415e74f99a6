"""The pace: how many threads the next step computes with, learned from how long the last ones took.

llama.cpp's threads wait for each other many times a step. While another program (often the browser that shows the
answer) has one of their cores, all of them wait for the one that was put aside, and a step takes many times as long:
then one thread less is faster. Nobody can ask the system for this in time, but step times tell: when steps become
slower than usual, the other choice is tried for a few of them, and the faster one stays. It knows neither threads nor
the clock; it is told durations.
"""

from __future__ import annotations

WINDOW_STEPS = 6  #: what is compared is the mean of at least so many steps
WINDOW_SECONDS = 0.1  #: that took at least so long: shorter ones may lie between two turns of the other program
MOST_TOKENS = 16  #: longer steps read a prompt: there is enough work between two meetings of the threads
_SLOW = 1.5  #: so many times the usual duration is slow
_FASTER = 0.9  #: the other choice must take less than this share of the time to be kept
_FIRST_PATIENCE = (0.0, 1.0)  #: seconds of computing until a new choice (all, one less) may be doubted
_MOST_PATIENCE = 16.0  #: it doubles with every trial that the choice wins
_DRIFT = 1.002  #: what is usual follows a growing context, this much a window


class Pace:
    """Chooses between all the threads and one less."""

    def __init__(self, num_threads: int) -> None:
        self._choices = (num_threads, max(1, num_threads - 1))
        self._current = 1  # index of the choice in use; one less is never a bad beginning
        self._num_tokens = 0  # of the steps in the window: only steps of one size are compared
        self._steps = 0
        self._seconds = 0.0
        self._rival: float | None = None  # what a step took with the other choice, while this one is on trial
        self._usual: dict[int, float] = {}  # seconds of a step with all the threads, by its tokens
        self._since_trial = 0.0
        self._patience = 0.0

    @property
    def threads(self) -> int:
        """For the next step."""
        return self._choices[self._current]

    @property
    def is_measuring(self) -> bool:
        """Whether it wants the next steps to be of one size, to compare the choices."""
        has_doubt = self._current == 1 and self._choices[0] != self._choices[1] and self._since_trial >= self._patience
        return self._rival is not None or has_doubt

    def observe(self, num_tokens: int, seconds: float) -> None:
        """A step of `num_tokens` took this long with `threads`."""
        if self._choices[0] == self._choices[1] or num_tokens > MOST_TOKENS:
            return
        if num_tokens != self._num_tokens:
            self._begin_size(num_tokens)
        self._steps += 1
        self._seconds += seconds
        self._since_trial += seconds
        is_whole = self._steps >= WINDOW_STEPS and self._seconds >= WINDOW_SECONDS
        if self._rival is not None:
            self._weigh(self._rival, is_whole=is_whole)
        elif is_whole:
            self._doubt(self._seconds / self._steps)

    def _begin_size(self, num_tokens: int) -> None:
        """People came or went: what was measured says nothing about steps of this size, and a trial ends undecided."""
        if self._rival is not None:
            self._switch()
            self._rival = None
        self._num_tokens = num_tokens
        self._clear_window()

    def _doubt(self, duration: float) -> None:
        """Begin a trial of the other choice where there is a reason for one: steps that are slow with all the threads,
        patience that is over with one less."""
        usual = self._usual.get(self._num_tokens, duration)
        is_reason = self._current == 1 or duration > usual * _SLOW
        if is_reason and self._since_trial >= self._patience:
            self._switch()
            self._rival = duration
            return
        if self._current == 0:
            self._usual[self._num_tokens] = min(duration, usual * _DRIFT)
        self._clear_window()

    def _weigh(self, rival: float, *, is_whole: bool) -> None:
        """Decide the trial: when its window is whole, or as soon as it can only be lost."""
        duration = self._seconds / self._steps
        is_lost = duration >= rival * _FASTER
        if not is_whole and not (is_lost and self._seconds >= max(WINDOW_SECONDS, WINDOW_STEPS * rival)):
            return
        if is_lost:
            self._switch()
            self._patience = min(_MOST_PATIENCE, max(1.0, self._patience * 2))
        else:
            self._patience = _FIRST_PATIENCE[self._current]
            if self._current == 0:
                self._usual[self._num_tokens] = duration
        self._rival = None
        self._since_trial = 0.0
        self._clear_window()

    def _switch(self) -> None:
        self._current = 1 - self._current
        self._clear_window()

    def _clear_window(self) -> None:
        self._steps, self._seconds = 0, 0.0
