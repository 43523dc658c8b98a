"""A run from launch to its final status, with real programs."""

import asyncio
import time

import orjson
from django.test import override_settings

from runs.execution import dispatch
from runs.fields import unseal
from runs.kinds import parse_spec
from runs.models import Run, Status
from runs.streaming import database
from tests.people import make_user

from .helpers import CarryingTestCase


class EndTests(CarryingTestCase):
    async def test_a_good_program_succeeds_with_its_output_recorded(self):
        async with self.executing():
            run = await self.carry("echo out; echo err >&2; printf 'no newline'")
        self.assertEqual((run.status, run.exit_code, run.error), ("succeeded", 0, ""))
        self.assertEqual(await self.text(run), "out\nno newline")
        self.assertEqual(await self.text(run, "e"), "err\n")
        self.assertEqual([c.seq for c in await self.chunks(run)], list(range(1, run.last_seq + 1)))
        self.assertLess(run.started_at, run.finished_at)
        self.assertEqual(run.sandbox_id[:6], "local-")

    async def test_ends_and_their_words(self):
        cases = [
            ("exit 3", 3, "The program ended with exit code 3."),
            ("kill -9 $$", 137, "The program was ended by signal 9 (SIGKILL)."),
            ("no_such_thing", 127, "a command was not found"),
        ]
        async with self.executing():
            for program, code, words in cases:
                with self.subTest(program):
                    run = await self.carry(program)
                    self.assertEqual((run.status, run.exit_code), ("failed", code))
                    self.assertIn(words, run.error)

    async def test_stderr_alone_is_no_failure(self):
        async with self.executing():
            run = await self.carry("echo warning >&2")
        self.assertEqual(run.status, "succeeded")

    async def test_events_are_recognised_in_every_kind(self):
        async with self.executing():
            run = await self.carry(
                'print(\'{"type": "progress", "data": {"percent": 50}}\')\nprint("plain")',
                kind="python",
            )
        (event,) = [c for c in await self.chunks(run) if c.stream == "v"]
        self.assertEqual(orjson.loads(event.data)["data"], {"percent": 50})
        self.assertEqual(await self.text(run), "plain\n")

    async def test_a_line_that_may_become_an_event_is_held_for_a_second_only(self):
        async with self.executing():
            run = await self.submit("""printf '{"type": '; sleep 60""")
            run = await self.until(run, lambda run: run.last_seq, 5)
            await database.write(dispatch.cancel, run)
            run = await self.ended(run)
        self.assertEqual(await self.text(run), '{"type": ')

    async def test_parallel_tasks_have_numbers_and_exit_codes_of_their_own(self):
        async with self.executing():
            run = await self.carry(["echo one", "echo two; exit 4", "echo three"], kind="parallel")
        self.assertEqual((run.status, run.exit_code, run.exit_codes), ("failed", 4, [0, 4, 0]))
        self.assertEqual(run.error, "Task 2 ended with exit code 4.")
        self.assertEqual(
            [task["status"] for task in run.tasks], ["succeeded", "failed", "succeeded"]
        )
        self.assertEqual(await self.text(run, task=2), "two\n")

    async def test_a_program_that_leaves_children_behind_ends_at_once(self):
        async with self.executing():
            before = time.monotonic()
            run = await self.carry("sleep 30 & setsid sleep 30 & echo left")
            self.assertLess(time.monotonic() - before, 5)
        self.assertEqual((run.status, await self.text(run)), ("succeeded", "left\n"))

    async def test_a_timeout_ends_a_run_by_our_clock(self):
        async with self.executing():
            run = await self.carry("trap '' TERM; echo on; sleep 30 & wait; sleep 30", timeout=0.3)
        # It heeds no SIGTERM, so SIGKILL it was.
        self.assertEqual((run.status, run.exit_code), ("timed_out", 137))
        self.assertIn("timeout of 0.3 s", run.error)
        self.assertEqual(await self.text(run), "on\n")
        self.assertIn("timeout", await self.text(run, "s"))

    async def test_a_wrong_directory_fails_with_a_sentence_in_the_recording(self):
        async with self.executing():
            run = await self.carry("true", cwd="/no/such/place")
        self.assertEqual(run.status, "failed")
        self.assertIn("/no/such/place", run.error)
        self.assertIn(run.error, await self.text(run, "s"))

    async def test_environment_values_reach_the_program_and_are_gone_at_the_end(self):
        async with self.executing():
            program = "echo ${#SECRET} $SECRET; read line"
            run = await self.submit(program, env={"SECRET": "s3cret-value"}, stdin=True)
            run = await self.printed(run, "12 ***")
            self.assertNotIn("s3cret", run.env_sealed)
            self.assertEqual(unseal(run.env_sealed), {"SECRET": "s3cret-value"})
            await dispatch.send_stdin(run, 0, None)
            run = await self.ended(run)
        self.assertEqual((run.env_sealed, run.env_names), ("", ["SECRET"]))

    async def test_stdin_reaches_the_program(self):
        async with self.executing():
            run = await self.submit("cat", stdin=True)
            run = await self.running(run)
            await dispatch.send_stdin(run, 0, "héllo\n")
            await self.printed(run, "héllo")
            await dispatch.send_stdin(run, 0, None)
            run = await self.ended(run)
            self.assertEqual(run.status, "succeeded")
            with self.assertRaisesMessage(dispatch.NotAccepted, "not running"):
                await dispatch.send_stdin(run, 0, "late")

    @override_settings(OUTPUT_CAP_BYTES=256 * 1024)
    async def test_a_program_that_prints_too_much_keeps_its_beginning_and_end(self):
        async with self.executing():
            run = await self.carry("echo begin; seq 1 400000; echo end")
        text = await self.text(run)
        self.assertEqual((run.status, text[:6], text[-4:]), ("succeeded", "begin\n", "end\n"))
        self.assertLess(len(text), 400 * 1024)
        self.assertGreater(run.dropped["bytes"], 1_000_000)
        self.assertIn("were not kept", (await self.chunks(run))[-1].text)

    @override_settings(OUTPUT_CAP_BYTES=256 * 1024, OUTPUT_CAP_ENDS_RUN=True)
    async def test_a_setting_ends_a_run_at_the_cap_instead(self):
        async with self.executing():
            run = await self.carry("yes")
        self.assertEqual(run.status, "failed")
        self.assertIn("output cap", run.error)

    @override_settings(STALL_SECONDS=0.15)
    async def test_a_silent_program_is_stalled_until_it_prints(self):
        async with self.executing():
            run = await self.submit("echo a; read x; echo b; read x", stdin=True)
            run = await self.until(run, lambda run: run.stalled, 5)
            await dispatch.send_stdin(run, 0, "go\n")
            await self.until(run, lambda run: not run.stalled, 5)
            await database.write(dispatch.cancel, run)
            run = await self.ended(run)
        self.assertIn("No output for 0.15 s", await self.text(run, "s"))
        self.assertFalse(run.stalled)


class CancelTests(CarryingTestCase):
    async def cancelled_within_a_second(self, program, **fields):
        run = await self.submit(program, **fields)
        await self.printed(run, "ready")
        before = time.monotonic()
        self.assertTrue(await database.write(dispatch.cancel, run))
        run = await self.ended(run)
        self.assertLess(time.monotonic() - before, 1.5)
        self.assertEqual((run.status, run.error), ("cancelled", "The run was cancelled."))
        self.assertIn("cancelled", await self.text(run, "s"))
        return run

    async def test_whatever_the_program_does(self):
        programs = {
            "sleeps": "echo ready; sleep 60",
            "ignores SIGTERM": "trap '' TERM INT HUP; echo ready; while :; do sleep 1; done",
            "has children": "sleep 60 & sleep 60 & echo ready; wait",
            "has children of its own session": "setsid sleep 60 & echo ready; wait; sleep 60",
            "is stopped": "echo ready; kill -STOP $$",
            "closed its output": "echo ready; exec >&- 2>&-; sleep 60",
        }
        async with self.executing():
            for name, program in programs.items():
                with self.subTest(name):
                    await self.cancelled_within_a_second(program)

    async def test_a_flooding_program(self):
        async with self.executing():
            run = await self.submit("yes ready")
            await self.printed(run, "ready")
            before = time.monotonic()
            await database.write(dispatch.cancel, run)
            run = await self.ended(run)
            self.assertLess(time.monotonic() - before, 2)
        self.assertEqual(run.status, "cancelled")

    async def test_a_queued_run_never_starts(self):
        run = await self.submit("echo never")
        self.assertTrue(await database.write(dispatch.cancel, run))
        self.assertFalse(await database.write(dispatch.cancel, run))
        async with self.executing():
            run = await self.ended(run)
        self.assertEqual((run.status, run.started_at), ("cancelled", None))

    async def test_a_cancel_from_another_process_is_noticed(self):
        async with self.executing():
            run = await self.submit("echo ready; sleep 60")
            await self.printed(run, "ready")
            await database.write(Run.objects.request_cancel, run)  # no call into this process
            run = await self.ended(run, seconds=4)
        self.assertEqual(run.status, "cancelled")

    async def test_stopping_the_server_ends_its_runs(self):
        async with self.executing():
            run = await self.submit("echo ready; sleep 60")
            await self.printed(run, "ready")
        run = await Run.objects.aget(pk=run.pk)
        self.assertEqual((run.status, run.error), ("cancelled", "The server was stopped."))


class QueueTests(CarryingTestCase):
    @override_settings(MAX_RUNS=2)
    async def test_only_so_many_run_and_the_rest_is_carried_in_order(self):
        async with self.executing() as executor:
            runs = [await self.submit(f"echo {n}; sleep 0.1") for n in range(6)]
            most = 0
            while not (await Run.objects.aget(pk=runs[-1].pk)).is_final:
                most = max(most, executor.running)
                await asyncio.sleep(0.01)
            ended = [await self.ended(run) for run in runs]
        self.assertEqual(most, 2)
        self.assertEqual({run.status for run in ended}, {Status.SUCCEEDED})
        starts = [run.started_at for run in ended]
        self.assertEqual(starts, sorted(starts))

    @override_settings(MAX_RUNS=1)
    async def test_a_users_many_runs_do_not_keep_another_one_waiting(self):
        bob = await database.write(make_user, "bob")
        many = [await self.submit("sleep 0.05") for _ in range(6)]
        one = await self.submit("echo bob", owner=bob)
        async with self.executing():
            one = await self.ended(one)
            many = [await self.ended(run) for run in many]
        before = sum(run.started_at < one.started_at for run in many)
        self.assertLessEqual(before, 2)

    async def test_a_run_inserted_by_another_process_is_found(self):
        async with self.executing():
            spec = parse_spec({"kind": "command", "program": "echo found"})
            run = await database.write(Run.objects.launch, self.alice, spec)
            run = await self.ended(run, seconds=5)
        self.assertEqual(run.status, "succeeded")
