"""The programs that are run, as Python source and as shell commands."""

# Says when it is ready, and begins when it is told to. Each line is one write and
# holds the moment of its print; every process of a machine has the same clock.
_STAMPS = """\
import random, sys, time
print("ready", flush=True)
sys.stdin.readline()
begin = time.monotonic() + {phase} * (2 + random.random() / {rate})
for number in range({lines}):
    time.sleep(max(0, begin + number / {rate} - time.monotonic()))
    sys.stdout.write(f"{{time.monotonic_ns()}}\\n")
    sys.stdout.flush()
# What is measured is a program among others that print, not among those that begin or end.
time.sleep(2 * {phase})
"""

FLOOD = """\
while True:
    print("A line of a program that prints as fast as it can.")
"""

GO = '{"type":"stdin","task":0,"text":"go\\n"}'


def stamps(lines: int, rate: float, phase: bool = False) -> str:
    """Prints `lines` stamps, `rate` a second; with `phase` one of several,
    not in step with the others and there until the last has printed."""
    return _STAMPS.format(lines=lines, rate=rate, phase=int(phase))


def count(lines: int) -> str:
    return f"for number in range(1, {lines} + 1):\n    print(number, flush=True)\n"
