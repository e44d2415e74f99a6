"""The pace: how many threads the next step computes with, learned from how long the last ones took.

llama.cpp's threads wait for each other many times a step. While another program (often the browser that shows the
answer) has one of their cores, all of them wait for the one that was put aside, and a step takes many times as long:
then one thread less is faster. Nobody can ask the system for this in time, but step times tell: when steps become
slower than usual, the other choice is tried for a few of them, and the faster one stays. It knows neither threads nor
the clock; it is told durations.

Long steps, which read prompts, wait less often: on two cores under a load of ten, one thread less was 26 times as
fast for 1 token, 4 times for 128, twice for 512. They are also too few and too different to notice anything. So they
take all the threads until writing has stepped back, and only then find out for themselves what is faster.
"""

from __future__ import annotations

MOST_TOKENS = 16  #: longer steps read a prompt
WINDOW_SECONDS = 0.1  #: what is compared took at least so long: less may lie between two turns of the other program
_WRITING_STEPS = 6  #: what is compared is the mean of at least so many steps
_READING_STEPS = 2
_SLOW = 1.5  #: so many times the usual duration is slow
_FASTER = (0.98, 0.9)  #: the other choice (all, one less) must take less than this share of the time to be kept
_CLEARLY = 0.67  #: of the time with all the threads: only then somebody else holds a core, and reading suffers as well
_FIRST_PATIENCE = (0.0, 1.0)  #: seconds of computing until a new choice (all, one less) may be doubted
_MOST_PATIENCE = 16.0  #: it doubles with every trial that the choice wins
_DRIFT = 1.002  #: what is usual follows a growing context, this much a window


class Pace:
    """Chooses between all the threads and one less, for short steps and for long ones."""

    def __init__(self, num_threads: int) -> None:
        self._num_threads = num_threads
        self._writing = _Choice(num_threads, _WRITING_STEPS)
        self._reading: _Choice | None = None  # while writing has stepped back

    @property
    def threads(self) -> int:
        """For the next short step."""
        return self._writing.threads

    def threads_for(self, num_tokens: int) -> int:
        """For the next step, when it has so many tokens."""
        if num_tokens <= MOST_TOKENS:
            return self._writing.threads
        return self._num_threads if self._reading is None else self._reading.threads

    @property
    def is_measuring(self) -> bool:
        """Whether it wants the next short steps to be of one size, to compare the choices."""
        return self._writing.is_measuring

    def pass_time(self, seconds: float) -> None:
        """A short step that cannot be compared with any other took this long; patience runs out all the same."""
        self._writing.pass_time(seconds)

    def rest(self) -> None:
        """Nothing was computed for a while: what was learned of the neighbours is old."""
        self._reading = None
        self._writing.forget_neighbours()

    def observe(self, num_tokens: int, seconds: float) -> None:
        """A step of `num_tokens` took this long with `threads_for(num_tokens)`."""
        if num_tokens <= MOST_TOKENS:
            self._writing.observe(num_tokens, seconds)
            if not self._writing.has_stepped_back:
                self._reading = None
            elif self._reading is None:
                self._reading = _Choice(self._num_threads, _READING_STEPS)
        elif self._reading is not None:  # steps of a similar size are compared by what a token takes
            self._reading.observe(num_tokens.bit_length(), seconds, num_tokens)


class _Choice:
    """All the threads or one less, for one sort of steps."""

    def __init__(self, num_threads: int, window_steps: int) -> None:
        self._choices = (num_threads, max(1, num_threads - 1))
        self._window_steps = window_steps
        self._current = 1  # index of the choice in use; one less is never a bad beginning
        self._size = 0  # of the steps in the window: only steps of one size are compared
        self._steps = 0
        self._amount = 0  # of work done in the window
        self._seconds = 0.0
        self._rival: float | None = None  # what the work took with the other choice, while this one is on trial
        self._usual: dict[int, float] = {}  # seconds for the work with all the threads, by its size
        self._since_trial = 0.0
        self._patience = 0.0
        self._gain = 1.0  # what one less took, as a share, in the last trial that it won

    @property
    def threads(self) -> int:
        return self._choices[self._current]

    @property
    def is_measuring(self) -> bool:
        has_doubt = self._current == 1 and self._choices[0] != self._choices[1] and self._since_trial >= self._patience
        return self._rival is not None or has_doubt

    @property
    def has_stepped_back(self) -> bool:
        """Whether one less has clearly won the last trial (the first choice was nobody's decision)."""
        is_one_less = self._current == (1 if self._rival is None else 0)  # what is on trial is not chosen yet
        return is_one_less and self._gain < _CLEARLY

    def observe(self, size: int, seconds: float, amount: int = 1) -> None:
        """A step took this long for an `amount` of work. Steps of one `size` are comparable."""
        if self._choices[0] == self._choices[1]:
            return
        if size != self._size:
            self._begin_size(size)
        self._steps += 1
        self._amount += amount
        self._seconds += seconds
        self._since_trial += seconds
        is_whole = self._steps >= self._window_steps and self._seconds >= WINDOW_SECONDS
        if self._rival is not None:
            self._weigh(self._rival, is_whole=is_whole)
        elif is_whole:
            self._doubt(self._seconds / self._amount)

    def pass_time(self, seconds: float) -> None:
        self._since_trial += seconds

    def forget_neighbours(self) -> None:
        """Let the choice be doubted as if it were new."""
        self._patience = _FIRST_PATIENCE[self._current]
        self._gain = 1.0

    def _begin_size(self, size: int) -> None:
        """People came or went: what was measured says nothing about steps of this size, and a trial ends undecided."""
        if self._rival is not None:
            self._switch()
            self._rival = None
        self._size = size
        self._clear_window()

    def _doubt(self, duration: float) -> None:
        """Begin a trial of the other choice where there is a reason for one: steps that are slow with all the threads,
        patience that is over with one less."""
        usual = self._usual.get(self._size, duration)
        is_reason = self._current == 1 or duration > usual * _SLOW
        if is_reason and self._since_trial >= self._patience:
            self._switch()
            self._rival = duration
            return
        if self._current == 0:
            self._usual[self._size] = min(duration, usual * _DRIFT)
        self._clear_window()

    def _weigh(self, rival: float, *, is_whole: bool) -> None:
        """Decide the trial: when its window is whole, or as soon as it can only be lost."""
        duration = self._seconds / self._amount
        is_lost = duration >= rival * _FASTER[self._current]
        window = self._window_steps * rival * self._amount / self._steps  # seconds, had the other choice done it
        if not is_whole and not (is_lost and self._seconds >= max(WINDOW_SECONDS, window)):
            return
        one_less, everything = (duration, rival) if self._current == 1 else (rival, duration)
        self._gain = one_less / everything
        if is_lost:
            self._switch()
            self._patience = min(_MOST_PATIENCE, max(1.0, self._patience * 2))
        else:
            self._patience = _FIRST_PATIENCE[self._current]
            if self._current == 0:
                self._usual[self._size] = duration
        self._rival = None
        self._since_trial = 0.0
        self._clear_window()

    def _switch(self) -> None:
        self._current = 1 - self._current
        self._clear_window()

    def _clear_window(self) -> None:
        self._steps, self._amount, self._seconds = 0, 0, 0.0
