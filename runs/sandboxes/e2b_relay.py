"""Runs inside the sandbox: keeps a program's output in files and hands it on from there.

Only its text is used by the server; it needs python3 where it runs and nothing of ours.
Its arguments are MARK TASK OUT_LINE ERR_LINE [LANGUAGE FILE]. The program is in the
environment's STREAMSITE_TEXT, or in FILE already; a Python program is always run from
FILE, in the home directory.

The first relay of a task starts the program in a session of its own, reads its pipes
into files and writes what is in them to its own stdout and stderr; it goes on when
nobody listens. Any later relay, or one without LANGUAGE, follows the files from those
lines on. Both first write a line of \x1e, MARK and the first relay's process id to either
stream - what a login shell said before is not the program's - and end with the program's
exit code. In place of the id one that cannot go on says why; later it ends itself by a
signal, and another one will say why.
"""

# ruff: noqa: B905, SIM105 - it runs on whatever Python a sandbox has

import _signal as signal  # the module around it costs 10 ms
import errno
import fcntl
import os
import select
import sys
import time

BLOCK = 64 * 1024
# With this much kept and not handed on the program's pipes are not read any more.
BACKLOG = 64 * 1024 * 1024
REST_SECONDS = 1.0
# Output that keeps coming is taken together for so long.
GATHER_SECONDS = 0.0005
NAMES = ("stdout", "stderr")
OURS, USERS = "STREAMSITE_", "STREAMSITE_ENV_"


class Stuck(Exception):
    """Why this relay cannot go on, in a word that the server knows."""


class Stream:
    """One of the two: its file, and how much of it was written and handed on."""

    def __init__(self, directory, name, flags):
        self.target = 1 + NAMES.index(name)
        self.file = os.open(os.path.join(directory, name), flags, 0o600)
        self.pipe = None
        self.written = 0
        self.sent = 0
        self.full = False

    def take(self):
        """From the program's pipe into the file."""
        read = os.read(self.pipe, BLOCK)
        if not read:
            os.close(self.pipe)
            self.pipe = None
        while read:
            done = os.write(self.file, read)
            self.written += done
            read = read[done:]

    def give(self):
        """From the file to whoever listens, as much as fits."""
        try:
            while self.sent < self.written:
                count = min(self.written - self.sent, BLOCK)
                self.sent += os.sendfile(self.target, self.file, self.sent, count)
            self.full = False
        except BlockingIOError:
            self.full = True
        except BrokenPipeError:  # nobody will ever listen
            self.sent, self.full = self.written, False

    def seek(self, lines):
        """Begin where line `lines` begins."""
        at = 0
        while lines:
            block = os.pread(self.file, BLOCK, at)
            if not block:
                raise Stuck("offset")
            found = block.count(b"\n")
            if found < lines:
                at, lines = at + len(block), lines - found
                continue
            end = 0
            for _ in range(lines):
                end = block.index(b"\n", end) + 1
            at, lines = at + end, 0
        self.sent = at


def say(mark, word):
    line = ("\x1e" + mark + " " + word + "\n").encode()
    for target in (1, 2):
        os.write(target, line)


def start(directory):
    """Make the directory, held by a lock while we live; None if there is one already."""
    own = directory + "-" + str(os.getpid())
    os.makedirs(own, 0o700)
    lock = os.open(os.path.join(own, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with open(os.path.join(own, "pid"), "w") as file:
        file.write(str(os.getpid()))
    streams = [Stream(own, name, os.O_RDWR | os.O_CREAT | os.O_APPEND) for name in NAMES]
    try:
        os.rename(own, directory)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        for name in os.listdir(own):
            os.unlink(os.path.join(own, name))
        os.rmdir(own)
        return None
    return streams


def program_of(language, file):
    """What to execute and its environment."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    for name, value in os.environ.items():
        if name.startswith(USERS):
            env[name[len(USERS) :]] = value
    text = os.environ.get("STREAMSITE_TEXT")
    if not file:
        return ["/bin/bash", "-lc", text], env
    path = os.path.join(os.path.expanduser("~"), file)
    if text is not None:
        with open(path, "w", encoding="utf-8") as written:
            written.write(text)
    return [*(["/bin/bash", "-l"] if language == "bash" else ["python3", "-u"]), path], env


def spawn(argv, env, streams):
    pipes = [os.pipe() for _ in streams]
    child = os.fork()
    if not child:
        try:
            os.setsid()
            for stream, (_, write) in zip(streams, pipes):
                os.dup2(write, stream.target)
            for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            os.execvpe(argv[0], argv, env)
        except OSError as error:
            os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
        finally:
            os._exit(127)
    for stream, (read, write) in zip(streams, pipes):
        os.close(write)
        stream.pipe = read
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    return child


def supervise(directory, child, streams):
    """Until the program has ended and all was handed on; its exit code."""
    wake, waker = os.pipe()
    for fd in (1, 2, wake, waker):
        os.set_blocking(fd, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    code, deadline, gathering = None, None, False
    while True:
        if code is None:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                code = exit_code(status)
                deadline = time.monotonic() + REST_SECONDS
                kill_group(child)
        if deadline and (time.monotonic() > deadline or all(s.pipe is None for s in streams)):
            for stream in streams:
                stream.pipe = None
            finish(directory, str(code))
            deadline = None
        if code is not None and deadline is None and all(s.sent == s.written for s in streams):
            return code
        if gathering:
            time.sleep(GATHER_SECONDS)
        gathering = step(directory, streams, wake, deadline)


def step(directory, streams, wake, deadline):
    """Wait for something to do and do it; whether output came."""
    poll = select.poll()
    poll.register(wake, select.POLLIN)
    wait = None
    for stream in streams:
        if stream.full:
            poll.register(stream.target, select.POLLOUT)
        if stream.pipe is None:
            continue
        if deadline or stream.written - handed_on(directory, stream) < BACKLOG:
            poll.register(stream.pipe, select.POLLIN)
        else:
            wait = 0.1
    if deadline:
        wait = min(wait or REST_SECONDS, max(deadline - time.monotonic(), 0))
    ready = dict(poll.poll(None if wait is None else wait * 1000))
    if wake in ready:
        os.read(wake, 512)
    came = False
    for stream in streams:
        if stream.pipe in ready:
            came = True
            stream.take()
        if not stream.full or stream.target in ready:
            stream.give()
    return came


def handed_on(directory, stream):
    """By us, or by the relay that has taken our place."""
    if stream.written - stream.sent < BACKLOG:
        return stream.sent
    later = readers(directory)
    if not later:
        return stream.sent
    # Read while it is made it may be empty.
    places = text_of(directory, f"reader-{later[-1]}").split() or ["0", "0"]
    return max(stream.sent, int(places[stream.target - 1]))


def text_of(directory, name):
    with open(os.path.join(directory, name)) as file:
        return file.read()


def readers(directory):
    return sorted(int(n[7:]) for n in os.listdir(directory) if n.startswith("reader-"))


def exit_code(status):
    if os.WIFSIGNALED(status):
        return 128 + os.WTERMSIG(status)
    return os.WEXITSTATUS(status)


def kill_group(child):
    try:
        os.killpg(child, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def finish(directory, how):
    """Say how it ended, at once and whole; an empty file says that the disk is full."""
    path = os.path.join(directory, "exit")
    file = os.open(path + "-new", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.write(file, how.encode())
    except OSError:
        pass
    os.rename(path + "-new", path)


def ending(directory):
    """The exit code as text, "" while the program goes on. Raises Stuck."""
    try:
        how = text_of(directory, "exit")
    except FileNotFoundError:
        return ""
    if not how:
        raise Stuck("disk")
    return how


def is_kept(directory):
    """Whether the relay that reads the program's pipes still lives."""
    lock = os.open(os.path.join(directory, "lock"), os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def check(directory):
    """Raises Stuck when nothing will ever say how the program ended."""
    if not os.path.isdir(directory):
        raise Stuck("absent")
    kept = is_kept(directory)
    if not ending(directory) and not kept:
        raise Stuck("lost")


def follow(directory, streams):
    """Hand on what comes until the program has ended; its exit code."""
    place = f"reader-{len(readers(directory)) + 1}"
    place = os.open(os.path.join(directory, place), os.O_WRONLY | os.O_CREAT, 0o600)
    idle = 0
    while True:
        # Asked before looking at the files: what comes later is not missed.
        ended = ending(directory)
        moved = False
        for stream in streams:
            stream.written = os.fstat(stream.file).st_size
            moved = moved or stream.sent < stream.written
            stream.give()
        if moved:
            idle = 0
            os.pwrite(place, b"%20d %20d" % tuple(stream.sent for stream in streams), 0)
        elif ended:
            return int(ended)
        else:
            idle += 1
            time.sleep(0.001 if idle < 100 else 0.005)
        if idle % 200 == 199:
            check(directory)


def main():
    mark, task, *lines = sys.argv[1:5]
    directory = os.path.join(os.path.expanduser("~"), ".streamsite", task)
    program = sys.argv[5:]
    said = False
    try:
        streams = start(directory) if program else None
        if streams:
            child = spawn(*program_of(*program), streams)
            said = True
            say(mark, str(os.getpid()))
            os._exit(supervise(directory, child, streams))
        check(directory)
        streams = [Stream(directory, name, os.O_RDONLY) for name in NAMES]
        for stream, line in zip(streams, lines):
            stream.seek(int(line))
        said = True
        say(mark, text_of(directory, "pid"))
        os._exit(follow(directory, streams))
    except (Stuck, OSError) as error:
        word = error.strerror if isinstance(error, OSError) else str(error)
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            word = "disk"
            if os.path.isdir(directory):
                finish(directory, "")
        if not said:
            say(mark, word)
            os._exit(1)
    finally:
        # No exit code of ours may be taken for the program's.
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
