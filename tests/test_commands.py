"""launch, watch and export, in this process and as processes of their own."""

import io
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import skipUnless
from unittest.mock import patch

from daphne.server import Server as DaphneServer
from django.conf import settings
from django.core.management import (
    CommandError,
    call_command,
    get_commands,
    load_command_class,
)
from django.db import connection
from django.test import SimpleTestCase, TransactionTestCase, override_settings

from runs.management.terminal import Pace, Progress, Screen
from runs.models import Limit, Run, SavedSecret, Status
from runs.streaming.exports import FORMATS, export
from tests.factories import make_run
from tests.people import make_user


def run_command(*arguments) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of a command that ends by SystemExit."""
    out, err = io.StringIO(), io.StringIO()
    # A real one, for commands that write bytes.
    out.buffer = io.BytesIO()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            call_command(*arguments)
        code = 0
    except SystemExit as exited:
        code = exited.code
    return code, out.getvalue() + out.buffer.getvalue().decode(), err.getvalue()


def make_admin(name="admin"):
    return make_user(name, is_staff=True, is_superuser=True)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@override_settings(QUICKSTART=True, LOCAL_NOTEBOOK_SPARE=False)
class LaunchTests(TransactionTestCase):
    def setUp(self):
        level = logging.getLogger().level
        self.addCleanup(logging.getLogger().setLevel, level)

    def test_beyond_a_limit_it_says_so(self):
        Limit.objects.create(user=make_admin(), launches_per_hour=0)
        with self.assertRaisesMessage(CommandError, "Your limit of launches per hour is 0"):
            run_command("launch", "command", "true")

    def test_output_and_exit_code_are_the_programs(self):
        admin = make_admin()
        program = "printf 'no newline'; echo oops >&2; exit 3"
        code, out, err = run_command("launch", "command", program, "--title", "mine")
        self.assertEqual((code, out), (3, "no newline"))
        self.assertEqual(err, "oops\n── The program ended with exit code 3.\n")
        run = Run.objects.get()
        self.assertEqual((run.owner, run.title, run.exit_code), (admin, "mine", 3))

    def test_a_timeout_is_124_and_says_so_once(self):
        make_admin()
        code, _, err = run_command("launch", "command", "sleep 30", "--timeout", "0.2")
        self.assertEqual(code, 124)
        self.assertEqual(err.count("timeout of 0.2 s"), 1)

    def test_several_programs_make_a_parallel_run(self):
        make_admin()
        code, out, err = run_command("launch", "parallel", "echo a; exit 7", "echo b")
        self.assertEqual((code, sorted(out.splitlines())), (7, ["a", "b"]))
        self.assertIn("── Task 1 ended with exit code 7.", err)

    def test_environment_values_are_given_or_passed_on(self):
        make_admin()
        with patch.dict(os.environ, {"MINE": "passed on"}):
            code, out, _ = run_command(
                "launch", "command", 'echo "$MINE, $THEIRS"; [ "$MINE" = "passed on" ]',
                "--env", "MINE", "--plain", "THEIRS=a=b",
            )  # fmt: skip
        self.assertEqual((code, out), (0, "***, a=b\n"))

    def test_a_saved_secret_is_used_by_its_name(self):
        SavedSecret.objects.save_value(make_admin(), "KEY", "very secret")
        code, out, _ = run_command("launch", "command", "echo ${#KEY} $KEY", "--secret", "KEY")
        self.assertEqual((code, out), (0, "11 ***\n"))
        with self.assertRaisesMessage(CommandError, "You have no saved secret NONE."):
            run_command("launch", "command", "true", "--secret", "NONE")

    def test_detach_is_refused_where_nobody_would_carry_the_run(self):
        make_admin()
        with self.assertRaisesMessage(CommandError, "leave --detach out"):
            run_command("launch", "command", "true", "--detach")
        self.assertFalse(Run.objects.exists())

    def test_what_cannot_be_launched_is_answered_with_sentences(self):
        make_admin()
        for arguments, sentence in (
            (("command", " "), "program: The program is empty."),
            (("command", "a", "b"), "take one program: put it into quotes"),
            (("command", "a", "--timeout", "-1"), "timeout: The timeout must be from 0"),
            (("command", "a", "--env", "NOT_SET_HERE"), "Use NAME=VALUE"),
            (("agent", "hello"), "Agent runs are not configured"),
        ):
            with self.subTest(arguments), self.assertRaisesMessage(CommandError, sentence):
                run_command("launch", *arguments)

    def test_the_owner_is_named_or_the_obvious_administrator(self):
        with self.assertRaisesMessage(CommandError, "no administrator yet"):
            run_command("launch", "command", "true")
        make_admin("one")
        alice = make_user("alice")
        self.assertEqual(run_command("launch", "command", "true")[0], 0)
        make_admin("two")
        with self.assertRaisesMessage(CommandError, "several administrators"):
            run_command("launch", "command", "true")
        with self.assertRaisesMessage(CommandError, "no active user 'nobody'"):
            run_command("launch", "command", "true", "--user", "nobody")
        self.assertEqual(run_command("launch", "command", "true", "--user", "alice")[0], 0)
        self.assertEqual(Run.objects.latest("pk").owner, alice)
        make_admin("admin")
        self.assertEqual(run_command("launch", "command", "true")[0], 0)
        self.assertEqual(Run.objects.latest("pk").owner_name, "admin")


class WatchTests(TransactionTestCase):
    def setUp(self):
        self.alice = make_user("alice")

    def make(self, *chunks, status=Status.SUCCEEDED, **fields):
        # Ids may begin with anything; on a command line one should not look like an option.
        return make_run(self.alice, status, chunks, public_id="run-to-watch", **fields)

    def watch(self, *arguments):
        return run_command("watch", "run-to-watch", "--speed", "max", *arguments)

    def test_each_stream_goes_where_it_belongs(self):
        self.make(
            "out\n",
            {"stream": "event", "text": '{"type":"x"}\n'},
            {"stream": "stderr", "text": "err\n"},
            {"stream": "result", "text": "", "data": '{"text/plain": "42"}'},
            {"stream": "result", "text": "", "data": '{"image/png": "AAAA"}'},
            {"stream": "error", "text": "Traceback\n"},
            {"stream": "system", "text": "A remark.\n"},
        )
        code, out, err = self.watch()
        self.assertEqual((code, out), (0, 'out\n{"type":"x"}\n42\n'))
        self.assertEqual(
            err,
            "err\n── A result of type image/png: see the run's page.\nTraceback\n── A remark.\n",
        )

    def test_after_leaves_out_what_is_known(self):
        self.make(*(f"{n}\n" for n in range(1, 2501)))
        self.assertEqual(self.watch("--after", "2498")[1], "2499\n2500\n")

    def test_it_exits_as_the_run_ended(self):
        run = self.make("x")
        for status, exit_code, expected in (
            ("failed", 5, 5), ("failed", None, 1), ("timed_out", None, 124),
            ("cancelled", None, 130), ("lost", None, 70), ("succeeded", 0, 0),
        ):  # fmt: skip
            with self.subTest(status):
                Run.objects.filter(pk=run.pk).update(status=status, exit_code=exit_code)
                self.assertEqual(self.watch()[0], expected)

    def test_a_replay_takes_its_time(self):
        self.make("a", "b", "c", "d", "e")  # a tenth of a second apart
        begun = time.monotonic()
        _, out, _ = run_command("watch", "run-to-watch", "--speed", "2")
        self.assertEqual(out, "abcde")
        self.assertGreaterEqual(time.monotonic() - begun, 0.2)

    def test_unknown_runs_and_absurd_numbers_end_in_a_sentence(self):
        with self.assertRaisesMessage(CommandError, "There is no run 'nowhere'") as caught:
            run_command("watch", "nowhere")
        self.assertEqual(caught.exception.returncode, 2)
        self.make("x")
        for wrong in (("--speed", "-1"), ("--speed", "nan"), ("--after", "-3")):
            with self.subTest(wrong), self.assertRaises(CommandError):
                run_command("watch", "run-to-watch", *wrong)


class ScreenTests(SimpleTestCase):
    def shown(self, *chunks, lanes=False):
        """What one terminal shows of (stream, text[, task]) chunks."""
        terminal = Terminal()
        screen = Screen(terminal, terminal, lanes)
        for stream, text, *task in chunks:
            screen.show([{"stream": stream, "text": text, "task": [*task, 0][0], "data": None}])
        return terminal.getvalue()

    def test_a_remark_begins_on_a_line_of_its_own(self):
        self.assertEqual(
            self.shown(("stdout", "50 %"), ("system", "Stalled.\nStill.\n"), ("stdout", "\n")),
            "50 %\n── Stalled.\n── Still.\n\n",
        )

    def test_lanes_say_which_task_wrote_a_line(self):
        self.assertEqual(
            self.shown(
                ("stdout", "a\nb", 1), ("stdout", "c\n", 1), ("stdout", "d", 2),
                ("stdout", "e\n\n", 1), ("stderr", "f", 2), lanes=True,
            ),
            "1│ a\n1│ bc\n2│ d\n1│ e\n1│ \n2│ f",
        )  # fmt: skip

    def test_pace_and_progress_follow_the_clock(self):
        with patch("time.monotonic", side_effect=[100, 101, 101]):
            pace = Pace(speed=2)
            self.assertEqual([pace.wait_seconds(4), pace.wait_seconds(1)], [1, 0])
        self.assertEqual(Pace(0).wait_seconds(99), 0)
        quick, slow = io.StringIO(), io.StringIO()
        progress = Progress(quick, 1000)
        progress.add(500)
        progress.end()
        self.assertEqual(quick.getvalue(), "")
        with patch("time.monotonic", side_effect=[0, 0.5, 2, 2, 2, 4]):
            progress = Progress(slow, 4096)
            progress.add(1024)
            progress.add(1024)
            progress.end()
        self.assertIn("about 50 %", slow.getvalue())
        self.assertIn("done", slow.getvalue())


class ExportTests(TransactionTestCase):
    def setUp(self):
        chunks = ["one\n", {"stream": "stderr", "text": "zwei ü\n"}]
        self.run_ = make_run(make_user("alice"), chunks=chunks, public_id="run-to-export")
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def export(self, *arguments, format="txt"):
        return run_command("export", "run-to-export", "--format", format, *arguments)

    def test_every_format_goes_to_standard_output_or_a_file(self):
        for format in FORMATS:
            with self.subTest(format):
                expected = b"".join(export(self.run_, format)).decode()
                self.assertEqual(self.export(format=format), (0, expected, ""))
                file = self.directory / format
                self.assertEqual(self.export("-o", str(file), format=format), (0, "", ""))
                self.assertEqual(file.read_bytes().decode(), expected)

    def test_a_file_is_replaced_only_if_asked(self):
        file = self.directory / "log"
        file.write_text("precious")
        with self.assertRaisesMessage(CommandError, "exists. Choose another name"):
            self.export("-o", str(file))
        self.assertEqual(file.read_text(), "precious")
        self.export("-o", str(file), "--overwrite")
        self.assertEqual(file.read_text(), "one\nzwei ü\n")

    def test_a_failure_leaves_no_half_file(self):
        def failing(run, format):
            yield b"half"
            raise OSError(28, "No space left on device")

        file = self.directory / "log"
        broken = patch("runs.management.commands.export.export", failing)
        with broken, self.assertRaisesMessage(CommandError, "No space left on device"):
            self.export("-o", str(file))
        self.assertEqual(list(self.directory.iterdir()), [])
        with self.assertRaisesMessage(CommandError, "No such file or directory"):
            self.export("-o", str(self.directory / "nowhere" / "log"))
        with self.assertRaisesMessage(CommandError, "Is a directory"):
            self.export("-o", str(self.directory))

    def test_a_run_that_goes_on_is_exported_as_far_as_it_is(self):
        Run.objects.update(status="running")
        code, out, err = self.export()
        self.assertEqual((code, out), (0, "one\nzwei ü\n"))
        self.assertIn("up to seq 2", err)


@skipUnless(connection.vendor == "sqlite", "each process is the only executor of a SQLite file")
class ProcessTests(TransactionTestCase):
    """Commands as people call them, several at a time, on a database of their own."""

    def setUp(self):
        make_admin()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        with connection.cursor() as cursor:
            cursor.execute("VACUUM INTO %s", [str(self.directory / "db.sqlite3")])

    def start(self, *arguments, ready=None, **how):
        """A command's process, once it has printed the line `ready`."""
        environment = os.environ | {
            "STREAMSITE_DATA_DIR": str(self.directory),
            "STREAMSITE_LOCAL_ALLOW_UNCONFINED": "1",
        }
        environment.pop("PYTHONUNBUFFERED", None)
        process = subprocess.Popen(
            [sys.executable, "-W", "error::ResourceWarning", "manage.py", *arguments],
            cwd=settings.BASE_DIR, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how,
        )  # fmt: skip
        self.addCleanup(self.end, process)
        if ready is not None:
            self.assertEqual(process.stdout.readline(), ready)
        return process

    def end(self, process):
        process.kill()
        process.communicate()

    def ended(self, process, seconds=20):
        out, err = process.communicate(timeout=seconds)
        return process.returncode, out, err

    def test_ctrl_c_cancels_the_run(self):
        # Whoever ignores it is ended as well.
        program = "trap '' INT TERM; echo ready; sleep 60"
        process = self.start("launch", "command", program, ready="ready\n")
        process.send_signal(signal.SIGINT)
        code, _, err = self.ended(process)
        self.assertEqual(code, 130)
        self.assertEqual(
            err.splitlines(),
            ["── Cancelling the run. Ctrl-C again leaves at once.", "── The run was cancelled."],
        )

    def test_a_reader_that_leaves_ends_it_quietly(self):
        # In small pieces: what is still buffered is complained of at the exit.
        program = "while echo y; do sleep 0.02; done"
        process = self.start("launch", "command", program, ready="y\n")
        process.stdout.close()
        self.assertEqual(process.stderr.read(), "")
        self.assertEqual(process.wait(20), 141)

    def test_beside_another_a_launch_only_inserts_and_follows(self):
        first = self.start("launch", "command", "echo ready; sleep 60", ready="ready\n")
        detached = self.start("launch", "command", "echo detached", "--detach")
        code, public_id, _ = self.ended(detached)
        self.assertEqual(code, 0)
        code, out, _ = self.ended(self.start("watch", public_id.strip()))
        self.assertEqual((code, out), (0, "detached\n"))

        # The first one's run ends, but it goes on carrying for the other.
        second = self.start("launch", "command", "echo second; sleep 60", ready="second\n")
        first.send_signal(signal.SIGINT)
        said = [first.stderr.readline() for _ in range(3)]
        self.assertIn("Other runs are carried here and end first: 1.", said[-1])
        second.send_signal(signal.SIGINT)
        self.assertEqual(self.ended(second)[0], 130)
        self.assertEqual(self.ended(first)[0], 130)

    def test_whoever_follows_a_run_whose_carrier_was_killed_sees_it_end_as_lost(self):
        first = self.start("launch", "command", "echo ready; sleep 60", ready="ready\n")
        second = self.start("launch", "command", "echo second; sleep 60", ready="second\n")
        first.kill()
        code, _, err = self.ended(second)
        self.assertEqual(code, 70)
        self.assertIn("── The server ended without ending this run", err)


class StartTests(SimpleTestCase):
    def test_commands_do_not_load_what_only_a_server_needs(self):
        loaded = "import sys; print({'twisted', 'daphne', 'OpenSSL'} & sys.modules.keys())"
        done = subprocess.run(
            [sys.executable, "manage.py", "shell", "-v", "0", "-c", loaded],
            cwd=settings.BASE_DIR, text=True, capture_output=True, timeout=60,
        )  # fmt: skip
        self.assertEqual(done.stdout, "set()\n", done.stderr)

    def test_runserver_serves_sockets_and_streams(self):
        command = load_command_class(get_commands()["runserver"], "runserver")
        self.assertTrue(issubclass(command.server_cls, DaphneServer))
