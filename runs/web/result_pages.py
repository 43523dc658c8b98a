"""A run's results by themselves: in a sandboxed frame, and as files."""

import json
import re

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.template.loader import render_to_string
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from ..access import Action, address_of, note, note_once
from ..models import STREAM_CODES
from ..streaming.reading import rows_after
from .csp import RESULT_POLICY
from .identity import visible_run
from .latex import latex_html
from .results import file_of, text_of

# What has colours of its own was made for white paper.
_COLOURED = re.compile(r"colou?r\s*[:=]|background|fill\s*[:=]|<svg|<img", re.IGNORECASE)


@login_required
@require_safe
@xframe_options_sameorigin
def result_frame(request, public_id, seq):
    """The HTML or LaTeX (`?mime=text/latex`) of a result, for the frame on the run's page."""
    return frame(request, request.user, visible_run(request.user, public_id), seq)


def frame(request, user, run, seq):
    data, _ = _result(run, seq)
    note_once(Action.READ, user, address_of(request), run, result=seq)
    mime = request.GET.get("mime", "text/html")
    text = text_of(data, mime) if mime in ("text/html", "text/latex") else ""
    if not text:
        raise Http404
    html = latex_html(text) if mime == "text/latex" else text
    coloured = mime == "text/html" and _COLOURED.search(html)
    page = render_to_string("runs/result.html", {"html": html, "on_paper": coloured})
    headers = {"Content-Security-Policy": RESULT_POLICY, "Cache-Control": "no-store"}
    return HttpResponse(page, headers=headers)


@login_required
@require_safe
def result_download(request, public_id, seq):
    """One representation of a result (`?mime=`, text/plain if not given) as a file."""
    return file(request, request.user, visible_run(request.user, public_id), seq)


def file(request, user, run, seq):
    data, text = _result(run, seq)
    mime = request.GET.get("mime", "text/plain")
    found = file_of(data, mime)
    if found is None and mime == "text/plain":
        found = file_of({mime: text}, mime)
    if found is None:
        raise Http404
    note(Action.EXPORT, user, address_of(request), run, format=mime, result=seq)
    return HttpResponse(
        found.content,
        content_type=found.content_type,
        headers={
            "Content-Disposition": f'attachment; filename="result-{seq}.{found.suffix}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox; default-src 'none'",
        },
    )


def _result(run, seq) -> tuple[object, str]:
    """The data and the text of a run's result; None has none. Raises Http404."""
    rows = rows_after(run.pk, seq - 1, 1, until=seq) if run and 0 < seq <= run.last_seq else []
    if not rows or rows[0][3] != STREAM_CODES["result"]:
        raise Http404
    return json.loads(rows[0][6] or "null"), rows[0][5]
