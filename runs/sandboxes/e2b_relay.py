"""Runs inside the sandbox: keeps a program's output in files and hands it on from there.

Only its text is used by the server, behind that of e2b_streams; it needs python3 where it
runs and nothing else of ours.
Its arguments are MARK BEAT TASK OUT_LINE ERR_LINE [LANGUAGE FILE]. The program is in the
environment's STREAMSITE_TEXT, or in FILE already; a Python program is always run from
FILE, in the home directory.

The first relay of a task starts the program in a session of its own, reads its pipes
into files and writes what is in them to its own stdout and stderr; it goes on when
nobody listens. Any later relay, or one without LANGUAGE, follows the files from those
lines on. Both first write a line of \x1e, MARK and the first relay's process id to either
stream - what a login shell said before is not the program's - and end with the program's
exit code. In place of the id one that cannot go on says why, and hands on what is kept;
later it ends itself by a signal, and another one will say why. After BEAT seconds without
output a line of its own on stdout says that the relay is there.
"""

# ruff: noqa: B905, SIM105 - it runs on whatever Python a sandbox has

import _signal as signal  # the module around it costs 10 ms
import errno
import fcntl
import os
import select
import sys
import time

from .e2b_streams import BLOCK, NAMES, Beat, Stream, Stuck, say

# With this much kept and not handed on the program's pipes are not read any more.
BACKLOG = 64 * 1024 * 1024
REST_SECONDS = 1.0
# Output that keeps coming is taken together for so long.
GATHER_SECONDS = 0.0005
OURS, USERS = "STREAMSITE_", "STREAMSITE_ENV_"


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
    # Functions are all that a login shell has and hands to no other.
    bash = ["/bin/bash", "-l"] if "STREAMSITE_LOGIN" in os.environ else ["/bin/bash"]
    if not file:
        return [*bash, "-c", text], env
    path = os.path.join(os.path.expanduser("~"), file)
    if text is not None:
        with open(path, "w", encoding="utf-8") as written:
            written.write(text)
    return [*(bash if language == "bash" else ["python3", "-u"]), path], env


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


def supervise(directory, child, streams, beat):
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
        gathering = step(directory, streams, wake, deadline, beat)


def step(directory, streams, wake, deadline, beat):
    """Wait for something to do and do it; whether output came that more may follow at once."""
    poll = select.poll()
    poll.register(wake, select.POLLIN)
    waits = [beat.wait()]
    for stream in streams:
        if stream.full:
            poll.register(stream.target, select.POLLOUT)
        if stream.pipe is None:
            continue
        if deadline or stream.written - handed_on(directory, stream) < BACKLOG:
            poll.register(stream.pipe, select.POLLIN)
        else:
            waits.append(0.1)
    if deadline:
        waits.append(max(deadline - time.monotonic(), 0))
    ready = dict(poll.poll(min(waits) * 1000))
    if wake in ready:
        os.read(wake, 512)
    sizes = [stream.take() for stream in streams if stream.pipe in ready]
    for stream in streams:
        if not stream.full or stream.target in ready:
            stream.give()
    # A full pipe holds up the program: no time to gather.
    return bool(sizes) and max(sizes) < BLOCK


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
    """The exit code as text, or "disk"; "" while the program goes on."""
    try:
        return text_of(directory, "exit") or "disk"
    except FileNotFoundError:
        return ""


def stuck(directory):
    """Why nothing will ever say how the program ended; "" if something will."""
    lock = os.open(os.path.join(directory, "lock"), os.O_RDWR)
    try:
        # Held by the relay that reads the program's pipes.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        kept = False
    except BlockingIOError:
        kept = True
    os.close(lock)
    how = ending(directory)
    if how == "disk":
        return how
    return "" if how or kept else "lost"


def hand_on(streams):
    """What is kept and was not handed on; whether there was any."""
    moved = False
    for stream in streams:
        stream.written = os.fstat(stream.file).st_size
        moved = moved or stream.sent < stream.written
        stream.give()
    return moved


def follow(directory, streams, beat):
    """Hand on what comes until the program has ended; its exit code."""
    place = f"reader-{len(readers(directory)) + 1}"
    place = os.open(os.path.join(directory, place), os.O_WRONLY | os.O_CREAT, 0o600)
    idle = 0
    while True:
        # Asked before looking at the files: what comes later is not missed.
        ended = ending(directory)
        if hand_on(streams):
            idle = 0
            os.pwrite(place, b"%20d %20d" % tuple(stream.sent for stream in streams), 0)
        elif ended.isdigit():
            return int(ended)
        elif idle % 200 == 199 and stuck(directory):
            raise Stuck
        else:
            idle += 1
            time.sleep(0.001 if idle < 100 else 0.005)
        beat.wait()


def main():
    mark, seconds, task, *lines = sys.argv[1:6]
    directory = os.path.join(os.path.expanduser("~"), ".streamsite", task)
    program = sys.argv[6:]
    said = False
    try:
        streams = start(directory) if program else None
        if streams:
            child = spawn(*program_of(*program), streams)
            said = True
            say(mark, str(os.getpid()))
            os._exit(supervise(directory, child, streams, Beat(mark, seconds, streams)))
        if not os.path.isdir(directory):
            raise Stuck("absent")
        streams = [Stream(directory, name, os.O_RDONLY) for name in NAMES]
        for stream, line in zip(streams, lines):
            stream.seek(int(line))
        word = stuck(directory)
        said = True
        say(mark, word or text_of(directory, "pid"))
        if word:
            hand_on(streams)
            os._exit(1)
        os._exit(follow(directory, streams, Beat(mark, seconds, streams)))
    except (Stuck, OSError) as error:
        word = error.strerror if isinstance(error, OSError) else str(error)
        # EFBIG: where files may not grow for ever.
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
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
