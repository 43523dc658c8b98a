"""How a run ended, in the words that people read."""

import json
import signal
from dataclasses import dataclass, field, replace

from ..models import Status
from ..streaming.lines import Draft


@dataclass(frozen=True, slots=True)
class Outcome:
    """A final status with its exit codes and, unless it succeeded, one sentence."""

    status: Status
    exit_code: int | None = None
    exit_codes: list[int | None] | None = None
    error: str = ""
    tasks: list[dict] = field(default_factory=list)


def of_exit_codes(codes: list[int | None], *, parallel: bool, raised: str = "") -> Outcome:
    """The outcome of programs that ran to their end; `raised` says what a cell raised."""
    exit_code = next((code for code in codes if code), 0)
    if None in codes and not exit_code:
        exit_code = None
    status = Status.SUCCEEDED if exit_code == 0 else Status.FAILED
    error = ""
    if status == Status.FAILED:
        error = raised or _sentence(codes, parallel)
    return Outcome(status, exit_code, codes if parallel else None, error)


def ended_early(outcome: Outcome, codes: list[int | None], *, parallel: bool) -> Outcome:
    """`outcome` of a run that was cancelled or timed out, with what its programs left."""
    exit_code = next((code for code in codes if code), None)
    return replace(outcome, exit_code=exit_code, exit_codes=codes if parallel else None)


def _sentence(codes: list[int | None], parallel: bool) -> str:
    if not parallel:
        return f"The program {how_it_ended(codes[0])}."
    failed = [(task, code) for task, code in enumerate(codes, 1) if code != 0]
    first = f"Task {failed[0][0]} {how_it_ended(failed[0][1])}"
    return f"{first}." if len(failed) == 1 else f"{first}, and {len(failed) - 1} more failed."


def how_it_ended(code: int | None) -> str:
    if code is None:
        return "ended without an exit code"
    if code == 127:
        return "ended with exit code 127: a command was not found"
    if 128 < code <= 128 + signal.NSIG:
        try:
            return f"was ended by signal {code - 128} ({signal.Signals(code - 128).name})"
        except ValueError:
            pass
    return f"ended with exit code {code}"


def task_states(
    tasks: list[dict], codes: dict[int, int | None], rest: Status | None = None
) -> list[dict]:
    """The `tasks` of a parallel run: exit codes by task number, `rest` for the others."""
    states = []
    for number, state in enumerate(tasks, start=1):
        if number in codes:
            good = codes[number] == 0
            status = Status.SUCCEEDED if good else Status.FAILED
            state = {"status": status.value, "exit_code": codes[number]}
        elif rest is not None:
            state = {"status": rest.value, "exit_code": None}
        states.append(state)
    return states


def agent_error(draft: Draft) -> str:
    """What an agent's own event says of its failure; "" of any other output."""
    if draft.data is None or '"error_msg"' not in draft.data:
        return ""
    event = json.loads(draft.data)
    data = event.get("data")
    if event["type"] != "error_msg" or not isinstance(data, dict) or data.get("retrying"):
        return ""
    return f"The agent failed: {str(data.get('message') or data.get('error'))[:300].rstrip('.')}."


def traceback_end(traceback: str) -> str:
    """The last line of a traceback."""
    lines = [line for line in traceback.splitlines() if line.strip()]
    return lines[-1].strip()[:300].rstrip(".") if lines else "an error"
