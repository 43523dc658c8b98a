"""The pages of runs: launch, list, watch and replay. Each works without JavaScript."""

import json

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import patch_cache_control
from django.views.decorators.http import require_GET, require_http_methods

from ..access import AccessEvent, Action, address_of, note, note_launch
from ..examples import examples
from ..execution import dispatch
from ..kinds import KINDS, InvalidSpec, NotConfigured, check_configured, parse_spec
from ..models import Hold, LimitReached, Run, Share, Status
from ..streaming.deletion import Refused
from ..streaming.wire import run_dict
from .deleted import delete_for, deletion_for
from .errors import WasDeleted, retry_after
from .forms import LaunchForm
from .identity import visible_run
from .listing import InvalidFilter, RunFilter, found_in, page_of
from .window import window_of

RECENT = 8
ACCESS_PAGE = 100
PAGE = 50
EXPORTS = (
    ("ndjson", "one JSON object a line"),
    ("json", "one JSON document"),
    ("txt", "plain text"),
    ("csv", "for spreadsheets"),
    ("cast", "for asciinema"),
)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def launch(request):
    if request.method != "POST":
        return _launch_page(request, _prefilled(request))
    if request.POST.get("example"):
        form = LaunchForm.from_example(_example(request.POST["example"]))
    else:
        form = LaunchForm.from_post(request.POST)
    if request.POST.get("more"):
        form.add_row(request.POST["more"])
        return _launch_page(request, form)
    if run := _submitted(request, form):
        return redirect("run-page", run.public_id)
    return _refused_page(request, form)


def _submitted(request, form: LaunchForm, rerun_of: Run | None = None) -> Run | None:
    """The run that was launched, or None with the reasons in form.errors."""
    try:
        spec = parse_spec(form.values())
        check_configured(spec)
        if not form.errors:
            run = dispatch.submit(request.user, spec, rerun_of)
            note_launch(run, request.user, address_of(request))
            return run
    except InvalidSpec as error:
        # What the form found itself is said first: it is closer to what was typed.
        form.errors = error.fields | form.errors
    except NotConfigured as error:
        form.errors["kind"] = str(error)
    except LimitReached as refused:
        form.refused = refused
    return None


def _refused_page(request, form: LaunchForm):
    if form.refused is None:
        return _launch_page(request, form, status=422)
    response = _launch_page(request, form, status=429)
    for name, value in retry_after(form.refused).items():
        response[name] = value
    return response


def _prefilled(request) -> LaunchForm:
    if public_id := request.GET.get("from"):
        return LaunchForm.from_run(_visible(request, public_id))
    if name := request.GET.get("example"):
        return LaunchForm.from_example(_example(name))
    return LaunchForm()


def _example(name: str):
    if name not in examples():
        raise Http404
    return examples()[name]


def _launch_page(request, form: LaunchForm, status=200):
    context = {
        "form": form,
        "saved": request.user.saved_secrets.order_by("name").values_list("name", flat=True),
        "examples": [(item, json.dumps(item.spec())) for item in examples().values()],
        "sandbox": dispatch.describe_sandbox(),
        "recent": Run.objects.filter(owner=request.user).defer("program").order_by("-pk")[:RECENT],
    }
    response = render(request, "launch.html", context, status=status)
    # It may hold environment values that were typed and refused.
    patch_cache_control(response, no_store=True)
    return response


@login_required
@require_GET
def run_list(request):
    chosen, error = RunFilter.parse(request.GET), ""
    cursor = request.GET.get("cursor", "")
    runs, found, following, searched = [], [], "", 0
    try:
        fitting = chosen.apply(Run.objects.visible_to(request.user))
        if chosen.in_output:
            found, following, searched = found_in(fitting, chosen.q, cursor)
        else:
            runs, following = page_of(fitting, PAGE, cursor)
    except InvalidFilter as refused:
        error = str(refused)
    context = {
        "runs": runs,
        "found": found,
        "searched": searched,
        "next_query": following and chosen.query(cursor=following),
        "chosen": chosen,
        "error": error,
        # New runs are put on top only where they belong there.
        "takes_new": not chosen.given and "cursor" not in request.GET,
        "sees_all": request.user.has_perm("runs.view_run"),
        "statuses": [("active", "Active"), *Status.choices],
        "kinds": [(kind.name, kind.label) for kind in KINDS.values()],
    }
    return render(request, "runs/list.html", context, status=400 if error else 200)


@login_required
@require_GET
def run_page(request, public_id):
    run = _visible(request, public_id)
    may_change = run.may_be_changed_by(request.user)
    shown = shown_run(request, run, run_dict(run))
    note(Action.VIEW, request.user, address_of(request), run, **part_of(shown["window"]))
    shown |= {
        "may_change": may_change,
        "shares": Share.objects.usable().filter(run=run).count() if may_change else 0,
        "exports": EXPORTS,
        "is_held": Hold.objects.of(run).exists(),
    }
    response = render(request, "runs/run.html", shown)
    patch_cache_control(response, no_store=True)
    return response


def part_of(window) -> dict:
    """What of the output a page showed, as access events tell it."""
    return {"after": window.first - 1, "to": window.last} if window.chunks else {}


def shown_run(request, run: Run, described: dict) -> dict:
    """What the page of a run shows to everybody who may see it."""
    return {
        "run": run,
        "window": window_of(run, after=_seq(request, "after"), before=_seq(request, "before")),
        "programs": run.program if isinstance(run.program, list) else [run.program],
        "run_json": described,
        "tasks": described["tasks"],
        "seconds": described["duration"],
    }


@login_required
@require_GET
def run_access(request, public_id):
    """Who has seen this run, and who did what to it."""
    run = _visible(request, public_id)
    before = _seq(request, "before")
    events = AccessEvent.objects.filter(run=run.public_id).order_by("-pk")
    found = list((events.filter(pk__lt=before) if before else events)[: ACCESS_PAGE + 1])
    context = {"run": run, "events": found[:ACCESS_PAGE], "more": len(found) > ACCESS_PAGE}
    response = render(request, "runs/access.html", context)
    patch_cache_control(response, no_store=True)
    return response


def posted(view):
    """For what a button does: a GET, as after a login in between, leads to the run."""

    def answer(request, public_id):
        if request.method != "POST":
            return redirect("run-page", public_id)
        return view(request, public_id)

    return answer


@login_required
@posted
def cancel(request, public_id):
    run = _own(request, public_id)
    if dispatch.cancel(run):
        note(Action.CANCEL, request.user, address_of(request), run)
    else:
        messages.info(request, "The run has already ended; there is nothing to cancel.")
    return redirect("run-page", run.public_id)


@login_required
@posted
def run_again(request, public_id):
    run = _own(request, public_id)
    if run.env_typed:
        names = ", ".join(run.env_typed)
        messages.info(request, f"Secret values are not kept. Type {names} again and launch.")
        return redirect(f"{reverse('launch')}?from={run.public_id}")
    form = LaunchForm.from_run(run)
    if again := _submitted(request, form, rerun_of=run):
        return redirect("run-page", again.public_id)
    return _refused_page(request, form)


@login_required
@posted
def delete(request, public_id):
    run = _own(request, public_id)
    try:
        delete_for(request.user, run, address_of(request), request.POST.get("reason"))
    except Refused as refused:
        messages.info(request, str(refused))
        return redirect("run-page", run.public_id)
    messages.success(request, f"“{run.title}” and its log are deleted.")
    return redirect("run-list")


def _visible(request, public_id) -> Run:
    run = visible_run(request.user, public_id)
    if run is None:
        if deletion := deletion_for(request.user, public_id):
            raise WasDeleted(deletion.sentence)
        raise Http404
    return run


def _own(request, public_id) -> Run:
    """A run the user may change. Raises Http404 or PermissionDenied."""
    run = _visible(request, public_id)
    if not run.may_be_changed_by(request.user):
        raise PermissionDenied("You may watch this run but not change it. Ask its owner.")
    return run


def _seq(request, name: str) -> int | None:
    """A seq from the address; what is no seq counts as not given."""
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
