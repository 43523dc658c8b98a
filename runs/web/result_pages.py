"""A run's results by themselves: in a sandboxed frame, and as files."""

import json
import re

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.template.loader import render_to_string
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from ..access import Action, address_of, note, note_once
from ..models import STREAM_CODES, Run
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
    run, data, _ = _result(request, public_id, seq)
    note_once(Action.READ, request.user, address_of(request), run, result=seq)
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
    run, data, text = _result(request, public_id, seq)
    mime = request.GET.get("mime", "text/plain")
    file = file_of(data, mime)
    if file is None and mime == "text/plain":
        file = file_of({mime: text}, mime)
    if file is None:
        raise Http404
    note(Action.EXPORT, request.user, address_of(request), run, format=mime, result=seq)
    return HttpResponse(
        file.content,
        content_type=file.content_type,
        headers={
            "Content-Disposition": f'attachment; filename="result-{seq}.{file.suffix}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox; default-src 'none'",
        },
    )


def _result(request, public_id, seq) -> tuple[Run, object, str]:
    """The run, the data and the text of a result that the user may see. Raises Http404."""
    run = visible_run(request.user, public_id)
    rows = rows_after(run.pk, seq - 1, 1, until=seq) if run and 0 < seq <= run.last_seq else []
    if not rows or rows[0][3] != STREAM_CODES["result"]:
        raise Http404
    return run, json.loads(rows[0][6] or "null"), rows[0][5]
