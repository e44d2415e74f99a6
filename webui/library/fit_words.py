"""What to tell of a plan before it is loaded, where numbers alone do not.

Words only; the numbers are `memory_fit`'s.
"""

from __future__ import annotations

from webui.errors import format_bytes
from webui.library.fit_plan import FitPlan

_SHARE_LEFT = 20  # less than this part of the RAM left for everybody else is too little,
_MOST_LEFT_BYTES = 1 << 30  # though a large machine needs no more than this


def warn_of_swapping(plan: FitPlan) -> str | None:
    """A sentence for a plan that fits and leaves too little: the machine may swap once chats grow long."""
    if not plan.fits or not plan.devices:
        return None
    ram = plan.devices[0]
    left = ram.free_bytes - ram.needed_bytes
    if left >= min(_MOST_LEFT_BYTES, ram.total_bytes // _SHARE_LEFT):
        return None
    return (
        f"This leaves {format_bytes(left)} for everything else on the machine, which may begin to swap once chats grow "
        "long. Choose a shorter context, a smaller KV type or a smaller model."
    )
