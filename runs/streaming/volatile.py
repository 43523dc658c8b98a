"""What differs between two runs of the same program without meaning anything.

Times and durations, percentages and rates, process ids, addresses, UUIDs, temporary
paths and terminal codes; README lists them. Each is put out of a line before lines are
compared; what people are shown is the line as it was.
"""

import re

_MINUTES = r":\d\d(?::\d\d(?:[.,]\d{1,9}+)?)?(?: ?[AP]M\b)?(?:Z\b|[+-]\d\d:?\d\d\b)?"
_CLOCK = r"\d\d" + _MINUTES
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_UNIT = (
    r"(?:%|s/it|(?:[kKMGT]?i?(?:B|b|bit|bytes?)|it|rows|lines|items|req)/s"
    r"|(?:ns|[uµμ]s|ms|s|secs?|seconds?|mins?|minutes?|m|h|hrs?|hours?)(?![\w/]))"
)
# Behind the first digit of a number that is no part of a word or of another number.
_NUMBERS = (
    # 2025-01-31T12:00:00.123Z, 2025/01/31 12:00
    rf"\d{{3}}[-/]\d\d[-/]\d\d(?:[T ,_]{{1,2}}{_CLOCK})?(?!\d)",
    # 31/Jan/2025:12:00:00 +0000
    rf"\d?[ /-]{_MONTH}[ /-]\d{{4}}(?:[:, ]{{1,2}}{_CLOCK})?(?: [+-]\d{{4}})?(?!\d)",
    # 12:00:00.123, and clocks that run: [00:01<00:03]
    rf"(?<!:.)(?:\d{_MINUTES}|\d{{0,2}}:\d\d(?::\d\d)?(?:\.\d{{1,9}}+)?)(?![\d:])",
    # Seconds, ms, µs and ns since 1970, of these decades.
    r"(?<=1)[5-9]\d{8}(?:\d{3}|\d{6}|\d{9})?(?:\.\d{1,9}+)?(?!\w)",
    rf"\d{{0,14}}+(?:[.,]\d{{1,12}}+)? ?{_UNIT}",
    # 1m30s, 1h2m3s
    r"(?:\d{0,3}h\d{1,4})?\d{0,3}m\d{1,4}(?:\.\d{1,9}+)?s(?!\w)",
    r"(?<=0)x[0-9A-Fa-f]{6,16}+(?![0-9A-Za-z])",
)
# Every part begins with one of the characters of this set, for which text is looked
# through quickly, and every repetition has an end: a line of a million digits takes no
# longer than others.
_VOLATILE = re.compile(
    r"[0-9\x1b/JFMASONDPp\[](?:"
    rf"(?<=[0-9])(?<![\w.].)(?:{'|'.join(_NUMBERS)})"
    # Colours and cursor movements, titles of windows.
    r"|(?<=\x1b)(?:\[[0-?]{0,32}+[ -/]{0,4}+[@-~]|\][^\x07\x1b\n]{0,1000}+(?:\x07|\x1b\\))"
    r"|(?<=/)(?:(?:var/)?tmp/|var/folders/)[^\s\"'`:;,()<>]{1,300}+"
    # Jan 31 12:00:00, Jan 31, 2025
    rf"|(?<=[JFMASOND])(?<!\w.)(?:an|eb|ar|pr|ay|un|ul|ug|ep|ct|ov|ec)"
    rf" {{1,2}}\d{{1,2}}(?:,? \d{{4}})?(?: {_CLOCK})?(?: \d{{4}})?(?![\d:])"
    # pid 4711, PID: 4711, pid=4711, worker[4711]:
    r"|(?<=[Pp])(?<!\w.)(?:id|ID|rocess) ?[=:#]? ?\d{1,10}\b"
    r"|(?<=\w\[)\d{1,10}\](?=:)"
    r")"
)
_SOME_UUID = re.compile(r"-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-")
_UUID = re.compile(
    r"[0-9A-Fa-f](?<![0-9A-Za-z].)[0-9A-Fa-f]{7}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}(?!\w)"
)
# No stored text holds it.
PLACEHOLDER = "\x00"


def settled(lines: list[str]) -> list[str]:
    """The lines without what is volatile; as many as there were, none with a newline."""
    text = "\n".join(lines)
    if "\r" in text:
        # What was overwritten, as by progress bars, is not seen.
        text = "\n".join([line.rstrip("\r").rpartition("\r")[2] for line in lines])
    if _SOME_UUID.search(text):
        text = _UUID.sub(PLACEHOLDER, text)
    return _VOLATILE.sub(PLACEHOLDER, text).split("\n")
