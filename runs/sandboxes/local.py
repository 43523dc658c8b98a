"""Programs on this machine, confined by bubblewrap where that works."""

import asyncio
import logging
import os
import re
import secrets
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from weakref import WeakSet

from .base import Launch, Offsets, OutputQueue, Process, Sandbox, SandboxError
from .confine import Confinement
from .etc import remove_etcs
from .notebook import Kernels, NotebookSandbox
from .pipes import PipeReader, Plumbing, StdinWriter, finish_reading
from .places import Place, clear_group
from .processes import HOME_MARK, RUN_MARK, Child, environment, kill_marked, marked
from .script import ARGUMENT_BYTES, Limits, check_environment
from .workdirs import WorkDir, default_scratch, home_mark, left_behind, make_scratch

logger = logging.getLogger(__name__)

LANGUAGES = ("bash", "python", "agent")
# How long the pipes are read after the end of a program that somebody still holds open.
REST_SECONDS = 1.0

UNCONFINED = (
    "Programs run unconfined, with the server's own rights: they can read its files "
    "and use its network."
)


class LocalSandbox:
    """One run's processes in a directory of their own.

    Each process of a parallel run has a confinement of its own; they share the
    directory.
    """

    def __init__(self, launch: Launch, place: Place):
        self.id = f"local-{secrets.token_hex(6)}"
        self._launch = launch
        self._place = place
        self._cwd = place.cwd(launch.cwd)
        self._inputs = {part.task: StdinWriter() for part in launch.processes if launch.stdin}
        self._readers: list[PipeReader] = []
        self._killed = False

    async def run(
        self, output: OutputQueue, on_exit: Callable[[int, int | None], None]
    ) -> list[int | None]:
        carried = []
        self._write_programs()
        try:
            for process in self._launch.processes:
                if self._killed:
                    break
                carried.append(asyncio.ensure_future(self._carry(process, output, on_exit)))
                await asyncio.sleep(0)
            codes: list[int | None] = list(await asyncio.gather(*carried))
        finally:
            for task in carried:
                task.cancel()
            self._stop()
        return codes + [None] * (len(self._launch.processes) - len(codes))

    async def _carry(
        self, process: Process, output: OutputQueue, on_exit: Callable[[int, int | None], None]
    ) -> int:
        child, readers = self._start(process, output)
        code = await child.wait()
        clear_group(child)
        await self._place.clear(process.task)
        await finish_reading(readers, REST_SECONDS)
        on_exit(process.task, code)
        return code

    def _start(self, process: Process, output: OutputQueue) -> tuple[Child, list[PipeReader]]:
        task = process.task
        try:
            argv = self._commands[task]
            with Plumbing(self._place.user_id, self._launch.stdin) as pipes:
                child = self._place.spawn(argv, task, self._launch.env, self._cwd, pipes.theirs)
        except OSError as error:
            raise SandboxError(
                f"The program could not be started: {error.strerror}. Try again later."
            ) from error
        into, out, err = pipes.ours
        if into is not None:
            self._inputs[task].connect(into)
        readers = [PipeReader(out, output, task, "stdout"), PipeReader(err, output, task, "stderr")]
        self._readers += readers
        return child, readers

    def _write_programs(self) -> None:
        """All of them before the first runs: later the directory is the programs' own."""
        try:
            self._commands = {one.task: self._argv(one) for one in self._launch.processes}
        except OSError as error:
            raise SandboxError(
                f"The program could not be written: {error.strerror}. Try again later."
            ) from error

    def _argv(self, process: Process) -> list[str]:
        several = len(self._launch.processes) > 1
        if process.language != "bash":
            name = f"main_{process.task}.py" if several else "main.py"
            return [sys.executable, "-u", self._place.put_file(name, process.program)]
        if len(process.program.encode(errors="replace")) < ARGUMENT_BYTES:
            return ["/bin/bash", "-lc", process.program]
        name = f"command_{process.task}.sh" if several else "command.sh"
        return ["/bin/bash", "-l", self._place.put_file(name, process.program)]

    async def send_stdin(self, task: int, text: str | None) -> None:
        if not self._launch.stdin:
            raise SandboxError("This run was launched without stdin; launch it with stdin.")
        if task not in self._inputs:
            raise SandboxError(f"This run has no task {task}.")
        if text is None:
            self._inputs[task].close_when_sent()
        else:
            self._inputs[task].send(text)

    async def kill(self) -> None:
        self._killed = True
        await self._place.kill()

    def _stop(self) -> None:
        """End everything at once, without waiting: also on the way out of an error."""
        self._place.destroy_all()
        for reader in self._readers:
            reader.close()
        for writer in self._inputs.values():
            writer.close()

    async def close(self) -> None:
        self._killed = True
        self._stop()
        await self._place.close()

    # Nobody else could go on with its programs.
    leave = close


class LocalBackend:
    """Sandboxes on this machine.

    `data_dir` never appears in a confined one. Without bubblewrap start() raises
    SandboxError unless `allow_unconfined`. `confine=False` does not even try it.
    `scratch_dir` holds the work directories: a private one in the system's
    temporary directory if None.
    """

    name = "local"
    can_attach = False  # programs die with the server

    def __init__(
        self,
        *,
        data_dir: str | Path,
        allow_unconfined: bool,
        confine: bool = True,
        network: bool = False,
        memory_bytes: int = 2 * 1024**3,
        file_bytes: int = 1024**3,
        max_processes: int = 256,
        scratch_dir: str | Path | None = None,
        notebook_spare: bool = True,
    ):
        self.confined = False
        self.network = network
        self.why = "confinement is switched off." if not confine else "it was not started."
        self._data_dir = Path(data_dir)
        self._scratch = Path(scratch_dir) if scratch_dir else default_scratch(self._data_dir)
        self._mark = home_mark(self._data_dir)
        self._allow_unconfined = allow_unconfined
        self._confine = confine
        self._confinement: Confinement | None = None
        # Whoever closed a sandbox has let go of it.
        self._open: WeakSet[Sandbox] = WeakSet()
        self._limits = Limits(memory_bytes, file_bytes, max_processes)
        self._kernels = Kernels(self._make_place, notebook_spare)

    async def start(self) -> None:
        try:
            make_scratch(self._scratch)
        except OSError as error:
            raise SandboxError(f"The directory for programs cannot be used: {error}.") from error
        if self._confine:
            await asyncio.to_thread(self._try_confinement)
        if not self.confined and not self._allow_unconfined:
            raise SandboxError(
                f"Programs cannot be confined: {self.why} Install bubblewrap, or set "
                "STREAMSITE_LOCAL_ALLOW_UNCONFINED=1 to run them with the server's own rights."
            )
        if not self.confined:
            self._limits = await asyncio.to_thread(unconfined_limits, self._limits)
        keep_descriptors_to_ourselves()
        self._kernels.warm_up()

    def _try_confinement(self) -> None:
        confinement = Confinement(self._hidden(), self._scratch, self.network)
        trial = WorkDir.make(self._scratch, None)
        try:
            why = confinement.try_out(trial.home)
        finally:
            trial.remove()
        if why:
            self.why = why
        else:
            self._confinement, self.confined, self.why = confinement, True, ""

    def _hidden(self) -> list[str]:
        checkout = Path(__file__).resolve().parents[2]
        hidden = [str(self._data_dir), str(self._scratch)]
        # Installed as a package, our directory holds everybody's modules.
        return [str(checkout), *hidden] if (checkout / "manage.py").exists() else hidden

    def describe(self) -> dict:
        if self.confined:
            network = "with the network" if self.network else "without a network"
            sentence = f"Programs run confined by bubblewrap, {network}."
        else:
            sentence = f"{UNCONFINED} The reason: {self.why}"
        return {
            "name": self.name,
            "confined": self.confined,
            "sentence": sentence,
            "network": self.network or not self.confined,
        }

    @property
    def open_count(self) -> int:
        return len(self._open)

    async def attach(self, launch: Launch, sandbox_id: str, offsets: Offsets) -> Sandbox:
        raise SandboxError("Programs of this sandbox end with the server; launch it again.")

    async def create(self, launch: Launch, on_wait: Callable[[str], None] | None = None) -> Sandbox:
        check_launch(launch)
        sandbox = await self._make_sandbox(launch)
        self._open.add(sandbox)
        return sandbox

    async def _make_sandbox(self, launch: Launch) -> Sandbox:
        if launch.cell:
            return NotebookSandbox(launch, self._kernels)
        place = self._make_place(launch.run_id)
        try:
            return LocalSandbox(launch, place)
        except BaseException:
            await place.close()
            raise

    def _make_place(self, run_id: str | None) -> Place:
        """None: for a spare kernel."""
        try:
            workdir = WorkDir.make(self._scratch, run_id)
        except OSError as error:
            raise SandboxError(
                f"No directory could be made for the program: {error.strerror}."
            ) from error
        mark = run_id or f"spare-{os.getpid()}-{secrets.token_hex(4)}"
        user_id = self._confinement.user_id() if self._confinement else None
        place = Place(workdir, self._confinement, self._limits, self._mark, mark, user_id)
        place.give(workdir.home)
        return place

    async def sweep(self, living: Mapping[str, str]) -> int:
        return await asyncio.to_thread(self._sweep, set(living))

    def _sweep(self, living: set[str]) -> int:
        runs = set()
        for pid in marked({HOME_MARK: self._mark}):
            for entry in environment(pid):
                name, _, value = entry.decode(errors="replace").partition("=")
                if name == RUN_MARK and value not in living and not of_living_server(value):
                    runs.add(value)
        for run_id in runs:
            kill_marked({HOME_MARK: self._mark, RUN_MARK: run_id})
        remove_etcs(self._scratch)
        for workdir in left_behind(self._scratch, living):
            workdir.remove()
            runs.add(workdir.top.name)
        return len(runs)

    async def close(self) -> None:
        await self._kernels.close()
        if self._confinement:
            await asyncio.to_thread(self._confinement.close)
        with suppress(OSError):
            self._scratch.rmdir()


def keep_descriptors_to_ourselves() -> None:
    """What the server inherited from whoever started it must not reach programs."""
    for entry in os.listdir("/proc/self/fd"):
        if int(entry) > 2:
            with suppress(OSError):
                os.set_inheritable(int(entry), False)


def check_launch(launch: Launch) -> None:
    """Raises SandboxError for what this sandbox cannot run."""
    for part in launch.processes:
        if part.language not in LANGUAGES:
            raise SandboxError(
                f"The local sandbox has no language {part.language!r}; it has "
                f"{' and '.join(LANGUAGES)}."
            )
    if launch.cell and launch.cell.language != "python":
        raise SandboxError(
            f"The local sandbox has no notebook for {launch.cell.language!r}; it has python."
        )
    for part in (*launch.processes, *([launch.cell] if launch.cell else [])):
        if "\0" in part.program:
            raise SandboxError("The program holds a NUL character; remove it.")
    if launch.cwd and "\0" in launch.cwd:
        raise SandboxError("The working directory holds a NUL character; remove it.")
    check_environment(launch.env)


def of_living_server(mark: str) -> bool:
    """Whether this is the spare kernel of a server that is still there."""
    match = re.fullmatch(r"spare-(\d+)-[0-9a-f]{8}", mark)
    return bool(match) and os.path.exists(f"/proc/{match[1]}")


def unconfined_limits(limits: Limits) -> Limits:
    """The kernel counts all processes of the server's user: the limit is on top of them."""
    running = 0
    for entry in os.listdir("/proc"):
        with suppress(OSError):
            if entry.isdigit() and os.stat(f"/proc/{entry}").st_uid == os.getuid():
                running += len(os.listdir(f"/proc/{entry}/task"))
    return replace(limits, processes=limits.processes + running)
