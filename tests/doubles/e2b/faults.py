"""What the double does wrong when it is told to."""

import asyncio
from dataclasses import dataclass, field

from .exchange import Exchange, Gone


@dataclass
class Fault:
    """Goes wrong in the next `times` of a call, after `skip` of them were let through.

    `call` is create, connect, info, kill, timeout, list, health, files, execute,
    contexts or the process service's Start, Connect, List, SendInput and so on.
    `delay` comes first. `status` answers with `headers` and `body` (text, or what
    becomes JSON) and does not carry the call out; `cut` breaks the connection
    instead of carrying it out, `lost` after carrying it out. In a stream, after `frames` frames,
    `then` is "cut", "end" (a clean end without an end event), "die" (the sandbox
    ends), "silent" (nothing arrives any more, and nothing says so), "stuck" (likewise,
    and what is to be sent holds up the process for ever), or {"code", "message"} for an
    error in the end frame.
    """

    call: str
    times: int = 1
    skip: int = 0
    delay: float = 0.0
    status: int = 0
    headers: dict = field(default_factory=dict)
    body: object = b""
    cut: bool = False
    lost: bool = False
    frames: int = -1
    then: object = "cut"


class Faults:
    def __init__(self):
        self._faults: list[Fault] = []

    def add(self, **values) -> None:
        self._faults.append(Fault(**values))

    def clear(self) -> None:
        self._faults.clear()

    def take(self, call: str) -> Fault | None:
        """The fault of this very call, if it has one."""
        for fault in self._faults:
            if fault.call != call or not fault.times:
                continue
            if fault.skip:
                fault.skip -= 1
                return None
            fault.times -= 1
            return fault
        return None


async def answer_wrongly(fault: Fault, exchange: Exchange) -> bool:
    """Whether the call is answered by the fault instead of being carried out."""
    if fault.delay:
        await asyncio.sleep(fault.delay)
    if fault.lost:
        exchange.lose_answer()
    if fault.cut:
        exchange.cut()
        raise Gone
    if fault.status:
        headers = dict(fault.headers)
        if not isinstance(fault.body, str | bytes):
            headers.setdefault("content-type", "application/json")
        await exchange.answer(fault.status, fault.body, headers)
        return True
    return False
