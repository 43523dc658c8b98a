"""What a confined program can and cannot reach."""

import os
import shutil
import socket
import sys
import tempfile
import uuid
from pathlib import Path
from unittest import mock

import runs
from runs.sandboxes.base import SandboxError
from runs.sandboxes.confine import AS_USER, Confinement, inside, python_directories
from runs.sandboxes.local import LocalBackend
from runs.sandboxes.processes import environment

from .support import LocalCase, until


def shows_python(path):
    """Whether the directory leads to this Python, which is shown to every program."""
    return any(inside(shown, path) for shown in python_directories())


class ConfinementTests(LocalCase):
    confine = True

    async def test_it_says_so(self):
        async with self.backend(allow_unconfined=False) as backend:
            self.assertTrue(backend.confined)
            self.assertEqual(
                backend.describe(),
                {
                    "name": "local",
                    "confined": True,
                    "sentence": "Programs run confined by bubblewrap, without a network.",
                    "network": False,
                },
            )

    async def test_the_data_directory_does_not_appear(self):
        (self.data_dir / "db.sqlite3").write_text("secret")
        async with self.backend() as backend:
            code, text, _ = await self.outcome(backend, f"ls {self.data_dir} {self.scratch}")
        self.assertEqual((code, text), (2, ""))

    async def test_the_data_directory_below_a_shown_one_is_empty(self):
        below = Path(tempfile.mkdtemp(prefix="data-", dir=sys.prefix))
        self.addCleanup(shutil.rmtree, below)
        (below / "db.sqlite3").write_text("secret")
        async with self.backend(data_dir=below) as backend:
            outcome = await self.outcome(backend, f"ls -A {below}; ls -d {sys.prefix}/bin")
        self.assertEqual(outcome, (0, f"{sys.prefix}/bin\n", ""))

    async def test_a_link_to_the_data_directory_hides_what_it_leads_to(self):
        below = Path(tempfile.mkdtemp(prefix="data-", dir=sys.prefix))
        self.addCleanup(shutil.rmtree, below)
        (below / "db.sqlite3").write_text("secret")
        link = self.top / "link"
        link.symlink_to(below)
        async with self.backend(data_dir=link) as backend:
            _, text, _ = await self.outcome(backend, f"ls -A {below} {link}")
        self.assertNotIn("db.sqlite3", text)

    async def test_our_own_code_and_other_runs_do_not_appear(self):
        package = Path(runs.__file__).parent
        program = f"ls -d {package} /home/* /run/* /root/* /tmp/*; cat /tmp/file ~/file"
        async with (
            self.backend() as backend,
            self.command(backend, "tee ~/file >/tmp/file; read x", stdin=True) as other,
        ):
            await other.sandbox.send_stdin(0, "theirs\n")
            await until(lambda: any(self.scratch.glob("run-*/home/file")))
            _, text, _ = await self.outcome(backend, program)
        shown = {path for path in text.split() if not shows_python(path)}
        self.assertLessEqual(shown, {"/home/sandbox"})

    async def test_system_directories_cannot_be_written(self):
        async with self.backend() as backend:
            for path in ("/usr/x", "/etc/x", f"{sys.prefix}/x", "/x", "/proc/sys/kernel/hostname"):
                code, _, _ = await self.outcome(backend, f"echo x > {path}")
                self.assertEqual(code, 1, path)
            _, text, _ = await self.outcome(backend, "cat /etc/shadow; touch /tmp/x ~/y && echo ok")
            self.assertEqual(text, "ok\n")

    async def test_no_network(self):
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        port = server.getsockname()[1]
        program = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)"
        async with self.backend() as backend:
            code, _, error = await self.outcome(backend, program, "python")
            self.assertEqual(code, 1)
            self.assertIn("ConnectionRefusedError", error)
        async with self.backend(network=True) as backend:
            self.assertEqual(await self.outcome(backend, program, "python"), (0, "", ""))

    async def test_no_process_of_the_machine_is_seen_or_reached(self):
        async with self.backend() as backend:
            _, text, _ = await self.outcome(backend, "ls -d /proc/[0-9]* | wc -l")
            self.assertLess(int(text), 8)
            code, _, _ = await self.outcome(backend, f"kill -0 {os.getpid()}")
            self.assertEqual(code, 1)

    async def test_no_rights_are_left(self):
        async with self.backend() as backend:
            program = "grep -h '^CapEff\\|^NoNewPrivs' /proc/self/status; id -u"
            _, text, _ = await self.outcome(backend, program)
        self.assertEqual(text.split()[:4], ["CapEff:", "0" * 16, "NoNewPrivs:", "1"])
        self.assertNotEqual(text.split()[4], "0")

    async def test_the_tools_that_confine_never_see_the_users_environment(self):
        # A library named by LD_PRELOAD would otherwise run with the server's rights.
        env = {"LD_PRELOAD": "/no/such/library.so", "PATH": "/no/such"}
        async with (
            self.backend() as backend,
            self.command(backend, "echo up $PATH; read x", env=env, stdin=True) as run,
        ):
            await run.printed("up /no/such\n")
            outer = run.sandbox._place.children[0].pid
            environ = b"\0".join(environment(outer))
            self.assertNotIn(b"LD_PRELOAD", environ)

    async def test_a_fork_bomb_is_held(self):
        program = (
            "import os, time\n"
            "for n in range(60):\n"
            "    print(n, flush=True)\n"
            "    if not os.fork(): time.sleep(30)\n"
        )
        async with self.backend(max_processes=30) as backend:
            if backend._confinement.user_id() is None and os.getuid() == 0:
                self.skipTest("root's own processes are never counted")
            code, text, error = await self.outcome(backend, program, "python")
        self.assertEqual(code, 1)
        self.assertIn("BlockingIOError", error)
        self.assertLess(len(text.split()), 31)

    async def test_two_runs_do_not_count_each_others_processes(self):
        program = "for i in $(seq 1 15); do sleep 30 & done; echo up; read x; exit 0"
        async with (
            self.backend(max_processes=25) as backend,
            self.command(backend, program, stdin=True) as one,
            self.command(backend, program, stdin=True) as two,
        ):
            for run in (one, two):
                await run.printed("up")
                await run.sandbox.send_stdin(0, "\n")
                self.assertEqual(await run.codes(), [0])

    async def test_node_and_others_start_within_the_limits(self):
        async with self.backend() as backend:
            if not shutil.which("node", path="/usr/bin:/bin"):
                self.skipTest("no node here")
            self.assertEqual(
                await self.outcome(backend, "node -e 'console.log(1)'"), (0, "1\n", "")
            )

    async def test_the_way_of_an_ordinary_user_works_for_root_too(self):
        with mock.patch.object(Confinement, "_ways", return_value=[AS_USER]):
            async with self.backend() as backend:
                _, text, _ = await self.outcome(backend, "id -u; echo x > ~/f; cat ~/f")
        self.assertEqual(text, "1000\nx\n")

    async def test_confinement_that_does_not_work_is_not_pretended(self):
        broken = shutil.which("false")
        why = "a trial run of bubblewrap failed: exit code 1"
        with mock.patch("runs.sandboxes.confine.shutil.which", return_value=broken):
            backend = LocalBackend(
                data_dir=self.data_dir,
                scratch_dir=self.scratch,
                allow_unconfined=True,
                notebook_spare=False,
            )
            await backend.start()
            await backend.close()
            self.assertFalse(backend.confined)
            self.assertIn(why, backend.describe()["sentence"])
            with self.assertRaisesMessage(SandboxError, why):
                async with self.backend(allow_unconfined=False):
                    pass

    async def test_values_are_not_on_disk(self):
        secret = uuid.uuid4().hex
        async with (
            self.backend() as backend,
            self.command(backend, "echo up; read x", env={"V": secret}, stdin=True) as run,
        ):
            await run.printed("up")
            for path in self.scratch.rglob("*"):
                if path.is_file() and not path.is_symlink():
                    self.assertNotIn(secret.encode(), path.read_bytes())
