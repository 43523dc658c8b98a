import asyncio
import logging
import os
import sys
from contextlib import suppress

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from ...access import note_launch
from ...execution import dispatch
from ...kinds import KINDS, InvalidSpec, NotConfigured, Spec, check_configured, parse_spec
from ...models import LimitReached, Run
from ...streaming import database
from ..terminal import (
    Screen,
    on_interrupt,
    on_terminate,
    require_database,
    run_to_exit_code,
    show_run,
)

LOOK_SECONDS = 0.5


class Command(BaseCommand):
    help = (
        "Launch a run and stream it to the terminal. Exits with the program's exit code; "
        "124 timed out, 130 cancelled, 70 lost. Ctrl-C cancels the run."
    )
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("kind", choices=KINDS, metavar="KIND", help=", ".join(KINDS))
        parser.add_argument(
            "program", nargs="+", metavar="PROGRAM", help="its text; several for parallel"
        )
        parser.add_argument("--mode", help="script (the default) or notebook, for python")
        parser.add_argument("--user", metavar="NAME", help="who owns the run")
        parser.add_argument("--timeout", type=float, metavar="S", help="seconds, 0 for none")
        parser.add_argument("--detach", action="store_true", help="print the run's id and leave")
        parser.add_argument(
            "--env", action="append", default=[], metavar="NAME[=VALUE]",
            help="a secret environment value; without =VALUE your own is passed on",
        )  # fmt: skip
        parser.add_argument(
            "--plain", action="append", default=[], metavar="NAME[=VALUE]",
            help="one that is no secret: it is kept, shown and not masked",
        )  # fmt: skip
        parser.add_argument(
            "--secret", action="append", default=[], metavar="NAME", help="one of the saved secrets"
        )
        parser.add_argument("--title")
        parser.add_argument("--cwd", metavar="DIR", help="working directory in the sandbox")

    def handle(self, **options):
        require_database()
        spec, owner = make_spec(options), find_owner(options["user"])
        # What an executor of our own logs in the usual course would mix with the output.
        logging.getLogger().setLevel(logging.WARNING)
        sys.exit(run_to_exit_code(launch(owner, spec, options["detach"])))


def make_spec(options: dict) -> Spec:
    names = ("kind", "mode", "timeout", "title", "cwd")
    values = {name: options[name] for name in names if options[name] is not None}
    programs = options["program"]
    if options["kind"] != "parallel" and len(programs) > 1:
        raise CommandError(
            f"Runs of kind {options['kind']} take one program: put it into quotes. "
            "For several side by side, launch parallel."
        )
    values["program"] = programs if options["kind"] == "parallel" else programs[0]
    plain = dict(env_value(item) for item in options["plain"])
    values["env"] = dict(env_value(item) for item in options["env"]) | plain
    values |= {"plain_env": list(plain), "secrets": options["secret"]}
    try:
        spec = parse_spec(values)
        check_configured(spec)
    except InvalidSpec as error:
        sentences = "\n".join(f"{name}: {text}" for name, text in error.fields.items())
        raise CommandError(sentences) from None
    except NotConfigured as error:
        raise CommandError(str(error)) from None
    return spec


def env_value(item: str) -> tuple[str, str]:
    name, given, value = item.partition("=")
    if not given and name not in os.environ:
        raise CommandError(f"--env {name}: your environment has no such value. Use NAME=VALUE.")
    return name, value if given else os.environ[name]


def find_owner(name: str | None):
    users = get_user_model().objects.filter(is_active=True)
    if name:
        if user := users.filter(username=name).first():
            return user
        raise CommandError(f"There is no active user {name!r}. Give --user another name.")
    administrators = list(users.filter(is_superuser=True))
    if len(administrators) == 1:
        return administrators[0]
    for user in administrators:
        if user.username == "admin":
            return user
    if administrators:
        raise CommandError("There are several administrators. Say whose run it is: --user NAME.")
    raise CommandError(
        "There is no administrator yet. Run `manage.py quickstart` or "
        "`manage.py createsuperuser`, or give --user NAME."
    )


async def launch(owner, spec: Spec, detach: bool) -> int:
    on_terminate(asyncio.current_task().cancel)
    nobody_executes = (await database.read(dispatch.describe))["executor"] == "none"
    if detach and nobody_executes:
        raise CommandError(
            "No server is running here that could carry the run: leave --detach out, "
            "or start `manage.py serve` first."
        )
    try:
        if nobody_executes:
            await start_executor()
        try:
            run = await database.write(dispatch.submit, owner, spec)
        except (InvalidSpec, LimitReached) as error:
            raise CommandError(str(error)) from None
        await database.write(note_launch, run, owner)
        if detach:
            print(run.public_id)
            return 0
        return await show_carried(run)
    finally:
        await dispatch.stop()


async def start_executor() -> bool:
    """Whether this process executes now; another may just have come first."""
    # A kernel kept warm for the next run would only take its time from this one.
    settings.LOCAL_NOTEBOOK_SPARE = False
    try:
        await dispatch.start()
    except dispatch.AlreadyExecuting:
        return False
    except dispatch.SandboxError as error:
        raise CommandError(str(error)) from None
    return True


async def show_carried(run: Run) -> int:
    """Show the run, and carry it if whoever did so has left."""
    screen = Screen(sys.stdout, sys.stderr, lanes=run.kind == "parallel")
    showing = asyncio.create_task(show(run, screen))
    keeping = asyncio.create_task(keep_carried())
    try:
        await asyncio.wait({showing, keeping}, return_when=asyncio.FIRST_COMPLETED)
        if keeping.done():
            keeping.result()
        code = await showing
    finally:
        showing.cancel()
        keeping.cancel()
    await let_others_end(screen)
    return code


async def keep_carried() -> None:
    """Until this process executes: an executor that we launched beside may end."""
    while True:
        where = (await database.read(dispatch.describe))["executor"]
        if where == "embedded" or (where == "none" and await start_executor()):
            return
        await asyncio.sleep(LOOK_SECONDS)


async def let_others_end(screen: Screen) -> None:
    """What others launched meanwhile is carried here too; leaving would cancel it."""
    leave = asyncio.Event()
    on_interrupt(leave.set)
    while not leave.is_set():
        state = await database.read(dispatch.describe)
        others = state["running"] + state["queued"]
        if state["executor"] != "embedded" or not others:
            return
        screen.remark(f"Other runs are carried here and end first: {others}. Ctrl-C cancels them.")
        with suppress(TimeoutError):
            await asyncio.wait_for(leave.wait(), LOOK_SECONDS)


async def show(run: Run, screen: Screen) -> int:
    if sys.stderr.isatty():
        screen.remark(f"Run {run.public_id}. Ctrl-C cancels it.")
    cancelling: set[asyncio.Task] = set()

    def cancel():
        screen.remark("Cancelling the run. Ctrl-C again leaves at once.")
        cancelling.add(asyncio.create_task(database.write(dispatch.cancel, run)))

    on_interrupt(cancel)
    return await show_run(run, screen)
