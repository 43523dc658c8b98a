"""The pages that compare two runs: which one with, and what differs."""

from django.contrib.auth.decorators import login_required
from django.http import Http404
from django.shortcuts import redirect, render
from django.utils.cache import patch_cache_control
from django.views.decorators.http import require_GET

from ..models import Run
from ..streaming.comparing import ALWAYS, SECONDS
from .compared import Busy, compared
from .filters import grouped, lasting, status_word
from .identity import visible_run
from .lines import visible

# Of the owner's runs before this one so many are looked through for its title.
LOOKED_THROUGH = 200
OFFERED = 10
# Of a line; its number leads to the whole.
LINE_CHARS = 500
SIGNS = {"same": "", "removed": "−", "added": "+", "removed_more": "−", "added_more": "+"}
WORDS = {"removed": "only in A", "added": "only in B"}


@login_required
@require_GET
def choose(request, public_id):
    """Which run to compare with: the one it repeats, and those of the same title."""
    run = _visible(request, public_id)
    # Also as the address of its page, as it is copied.
    wanted = request.GET.get("with", "").strip().rstrip("/").rpartition("/")[2]
    error = ""
    if wanted:
        if other := visible_run(request.user, wanted):
            return redirect("run-compared", other.public_id, run.public_id)
        error = "There is no such run, or it is not yours to see. Copy its id from its page."
    offered = {other.pk: other for other in _related(request.user, run)}
    context = {"run": run, "offered": list(offered.values()), "error": error, "wanted": wanted[:60]}
    return render(request, "runs/compare_with.html", context, status=404 if error else 200)


def _related(user, run: Run) -> list[Run]:
    seen = Run.objects.visible_to(user).defer("program")
    repeated = [run.rerun_of_id] if run.rerun_of_id else []
    again = seen.filter(rerun_of=run.pk).order_by("-pk")[:OFFERED]
    recent = Run.objects.filter(owner=run.owner_id, pk__lt=run.pk).order_by("-pk")
    titles = recent.values_list("pk", "title")[:LOOKED_THROUGH]
    alike = [pk for pk, title in titles if title == run.title][:OFFERED]
    return [*seen.filter(pk__in=repeated), *again, *seen.filter(pk__in=alike).order_by("-pk")]


@login_required
@require_GET
def page(request, public_id, other_id):
    a, b = _visible(request, public_id), _visible(request, other_id)
    exact = request.GET.get("exact") == "1"
    context = {"run_a": a, "run_b": b, "exact": exact, "seconds": SECONDS}
    try:
        found = compared(request, request.user, a, b, exact)
    except Busy as busy:
        return _answer(request, context | {"busy": str(busy)}, status=503)
    for output in found["outputs"]:
        _prepare(output, a, b, exact)
    printed_same = all(o["same"] == o["lines"]["a"] == o["lines"]["b"] for o in found["outputs"])
    context |= {
        "found": found,
        "fields": [_field(one) for one in found["fields"] if _is_shown(one)],
        "program": [line | {"sign": SIGNS[line["kind"]]} for line in found["program"]],
        "events": [one for one in found["events"] if one["a"] != one["b"]],
        "printed_same": printed_same and not any(o["cut"] for o in found["outputs"]),
    }
    return _answer(request, context)


def _answer(request, context: dict, status=200):
    response = render(request, "runs/compare.html", context, status=status)
    patch_cache_control(response, no_store=True)
    return response


def _visible(request, public_id) -> Run:
    run = visible_run(request.user, public_id)
    if run is None:
        raise Http404
    return run


def _is_shown(field: dict) -> bool:
    return field["name"] in ALWAYS or field["name"] == "started_at" or not field["same"]


def _field(field: dict) -> dict:
    name = field["name"]
    return field | {
        "label": name.replace("_", " "),
        "a": _value(name, field["a"]),
        "b": _value(name, field["b"]),
    }


def _value(name: str, value) -> str:
    if value is None or value in ([], {}, ""):
        return "–"
    match name:
        case "status":
            return status_word(value)
        case "duration" | "timeout":
            return lasting(value)
        case "lines" | "masked":
            return grouped(value)
        case "started_at":
            return f"{value[:10]} {value[11:19]} UTC"
    if isinstance(value, dict):
        return ", ".join(f"{key}={one}" for key, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _prepare(output: dict, a: Run, b: Run, exact: bool) -> None:
    """What the template needs of each line: sign, text as it is shown, links."""
    for hunk in output["hunks"]:
        for line in hunk["lines"]:
            text = line["text"]
            if exact:
                # Else colours would differ and not be seen.
                text = text.replace("\x1b", "\N{SYMBOL FOR ESCAPE}")
            elif "\r" in text:
                text = text.rstrip("\r").rpartition("\r")[2]
            line["shown"] = visible(text[:LINE_CHARS]) + ("…" if len(text) > LINE_CHARS else "")
            line["sign"] = SIGNS[line["kind"]]
            line["word"] = WORDS.get(line["kind"], "")
            line["side"] = line["kind"].partition("_")[0]
