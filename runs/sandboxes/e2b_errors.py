"""What goes wrong with E2B, in sentences for people, and what will pass."""

import json
import re

from .base import SandboxError

GONE = (
    "The sandbox is gone: it was stopped in E2B, or it reached the end of its life. "
    "Launch the run again."
)
UNREACHABLE = "The sandbox could not be reached any more. Launch the run again."
KEY = "E2B refused the API key. The administrator has to check E2B_API_KEY."
NO_ACCESS = "E2B refused access to the sandbox. Launch the run again."
QUOTA = "E2B's limit on sandboxes or requests is reached. Launch the run again later."
BUSY = "E2B is overloaded. Launch the run again later."
NO_E2B = "E2B cannot be reached. Launch the run again later."
NO_ANSWER = "E2B did not answer in time. Launch the run again later."
NO_END = "Command ended without an end event"

# The code interpreter has the status in its words only: "429 Too Many Requests: …".
SPOKEN = re.compile(r"(\d{3}) [A-Z]")
SPOKEN_SENTENCES = {"401": NO_ACCESS, "403": NO_ACCESS, "429": QUOTA, "503": BUSY}
# An answer of E2B's within an error's words.
BODY = re.compile(r'\{.*"message": ?"((?:[^"\\]|\\.)*)".*\}')

# What a reader in the sandbox says when it cannot go on.
WORDS = {
    "disk": (
        "The sandbox's disk is full, so the program's output could not be kept. "
        "Launch it again and print or store less."
    ),
    "lost": (
        "The program's output and exit code are lost: what kept them in the sandbox was killed, "
        "perhaps by the program itself or for lack of memory."
    ),
    "absent": "The sandbox knows nothing of the program. Launch the run again.",
    "offset": "The sandbox has less of the program's output than was recorded already.",
}
NO_PYTHON = (
    "The program could not be started: the sandbox has no python3, or its login shell ends "
    "early. The administrator has to choose another E2B template."
)


def said(word: str) -> SandboxError:
    """For the word of a reader that cannot go on."""
    return SandboxError(WORDS.get(word) or f"The program could not be started: {word}.")


def will_pass(error: BaseException) -> bool:
    """Whether the same call may succeed a little later."""
    # Imported at first use, here as everywhere: the SDK takes 60 MB.
    import e2b
    import httpx

    if is_gone(error):
        return False
    if isinstance(error, e2b.TimeoutException | e2b.RateLimitException | e2b.ServiceBusyException):
        return True
    if isinstance(error, httpx.TransportError | json.JSONDecodeError | OSError):
        return True
    return str(error) == NO_END or turned_away(error) or is_server_error(error)


def is_gone(error: BaseException) -> bool:
    """Whether the sandbox lives no more."""
    import e2b

    if isinstance(error, e2b.SandboxNotRunningException | e2b.SandboxNotFoundException):
        return True
    # The code interpreter says so in words only.
    return type(error) is e2b.TimeoutException and any(
        words in str(error) for words in ("was not found", "was killed")
    )


def turned_away(error: BaseException) -> bool:
    """Whether a cell was refused before it began, for a reason that may pass."""
    import e2b
    import httpx

    if type(error) is e2b.TimeoutException:
        return "port is not open" in str(error)
    if type(error) is e2b.SandboxException:
        return spoken_status(error) == "429" or spoken_status(error).startswith("5")
    return isinstance(error, httpx.ConnectError)


def spoken_status(error: BaseException) -> str:
    found = SPOKEN.match(str(error))
    return found[1] if found else ""


def is_server_error(error: BaseException) -> bool:
    import e2b

    if type(error) is not e2b.SandboxException:
        return False
    if error.status_code:
        return error.status_code >= 500
    return str(error).startswith(("Code.INTERNAL", "Code.UNKNOWN", "Code.ABORTED", "5"))


def explained(error: BaseException, *, creating: bool = False) -> SandboxError | None:
    """The sentence for an error of the SDK; None for what is a mistake of ours."""
    import e2b
    import httpx

    if is_gone(error):
        return SandboxError(GONE)
    # Most of E2B's errors are kinds of another: the particular ones come first.
    sentences = (
        (e2b.SandboxUnreachableException, UNREACHABLE),
        (e2b.AuthenticationException, KEY if creating else NO_ACCESS),
        (e2b.RateLimitException, QUOTA),
        (e2b.ServiceBusyException, BUSY),
        (e2b.NotEnoughSpaceException, WORDS["disk"]),
        (e2b.TimeoutException, NO_ANSWER),
        (httpx.TimeoutException, NO_ANSWER),
        (httpx.ConnectError, NO_E2B),
        (httpx.TransportError, UNREACHABLE),
        (json.JSONDecodeError, "E2B sent an answer that cannot be read. Launch the run again."),
        (OSError, NO_E2B),
    )
    for kind, sentence in sentences:
        if isinstance(error, kind):
            return SandboxError(sentence)
    if creating and getattr(error, "status_code", None) == 404:
        return SandboxError(
            f"E2B has no such template ({plain(error)[:-1]}). "
            "The administrator has to check the template's name."
        )
    if isinstance(error, e2b.TemplateException):
        return SandboxError(
            "The E2B template is too old for this server. The administrator has to build it again."
        )
    if isinstance(error, e2b.InvalidArgumentException) and "does not exist" in str(error):
        return SandboxError(f"The working directory cannot be used: {plain(error)}")
    if isinstance(error, e2b.SandboxException):
        known = SPOKEN_SENTENCES.get(spoken_status(error))
        return SandboxError(known or f"E2B refused: {plain(error)}")
    if str(error) == NO_END:
        return SandboxError(UNREACHABLE)
    return None


def plain(error: BaseException) -> str:
    """An error's own words, as the end of a sentence."""
    text = " ".join(str(error).split()).removeprefix("Code.")
    text = BODY.sub(lambda body: body[1].replace('\\"', '"'), text)
    return (text[:300] or type(error).__name__).rstrip(".") + "."
