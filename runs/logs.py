"""Lines of the log: which run each is about, as text or as JSON, and no secrets in them."""

import json
import logging
import os
import re
from collections.abc import Iterable
from contextvars import ContextVar
from datetime import UTC, datetime

# The public id of the run that this task, and whatever it starts, is about. A line that
# is about one run among many names it itself: log.warning(…, extra={"run": public_id}).
RUN: ContextVar[str] = ContextVar("run", default="")

HIDDEN = "[hidden]"
# Of the API, and in shared links.
TOKEN = re.compile(r"\b(?:sst_[\w-]+|sss_\w+(?:\.[\w-]+)?)", re.ASCII)
# Less is no secret, and may be in any word.
SECRET_CHARS = 4


class Lines(logging.Formatter):
    """For people: one line, with the run's id unless it is in there already."""

    def __init__(self, program: str, secrets: Iterable[str] = ()):
        super().__init__("{asctime} {levelname} {name}: {about}{message}", style="{")
        self.program = program
        self._secrets = [secret for secret in secrets if len(secret) >= SECRET_CHARS]

    def formatMessage(self, record):
        run = _run_of(record)
        record.about = f"Run {run}: " if run and run not in record.message else ""
        return super().formatMessage(record)

    def format(self, record):
        return self.hide(super().format(record))

    def hide(self, text: str) -> str:
        """Even if somebody logs a secret of the settings, or a token."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return TOKEN.sub(HIDDEN, text)


class JsonLines(Lines):
    """For machines: one JSON object a line."""

    def format(self, record):
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "program": self.program,
            "host": os.uname().nodename,
            "pid": record.process,
            "message": self.hide(record.getMessage()),
        }
        if run := _run_of(record):
            fields["run"] = run
        if record.exc_info:
            fields["traceback"] = self.hide(self.formatException(record.exc_info))
        return json.dumps(fields)


def _run_of(record: logging.LogRecord) -> str:
    return getattr(record, "run", "") or RUN.get() or _run_asked_for(record)


def _run_asked_for(record: logging.LogRecord) -> str:
    """Where Django says that a request failed."""
    match = getattr(getattr(record, "request", None), "resolver_match", None)
    asked = match.kwargs if match else {}
    return asked.get("public_id") or asked.get("run_id") or ""
