import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from django.core.management.base import BaseCommand, CommandError

from ...models import Run
from ...streaming.exports import FORMATS, export
from ..terminal import BROKEN_PIPE, INTERRUPTED, Progress, leave_pipe, stored_run

# About what a format adds to each chunk's text; only the progress depends on it.
BYTES_PER_CHUNK = {"ndjson": 95, "json": 96, "txt": 0, "cast": 25, "csv": 28}


class Command(BaseCommand):
    help = "Write a run's log to a file or to standard output."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("run", metavar="RUN", help="the run's id, as in its page's address")
        parser.add_argument("--format", required=True, choices=FORMATS, metavar="F",
                            help=", ".join(FORMATS))  # fmt: skip
        parser.add_argument("-o", "--output", type=Path, metavar="FILE")
        parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")

    def handle(self, **options):
        run, output = stored_run(options["run"]), options["output"]
        if not run.is_final:
            sys.stderr.write(f"── The run goes on; this is its log up to seq {run.last_seq:,}.\n")
        try:
            with opened(output, options["overwrite"]) as file:
                copy(run, options["format"], file, tell=bool(output) or sys.stderr.isatty())
        except BrokenPipeError:
            leave_pipe()
            sys.exit(BROKEN_PIPE)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        except OSError as error:
            raise CommandError(f"Cannot write {output or 'the log'}: {error.strerror}.") from None


def copy(run: Run, format: str, file: BinaryIO, tell: bool) -> None:
    expected = run.output_bytes + run.last_seq * BYTES_PER_CHUNK.get(format, 0)
    progress = Progress(sys.stderr, expected) if tell else None
    for piece in export(run, format):
        file.write(piece)
        if progress:
            progress.add(len(piece))
    file.flush()
    if progress:
        progress.end()


@contextmanager
def opened(path: Path | None, overwrite: bool) -> Iterator[BinaryIO]:
    """Standard output, or a file that appears under its name only when it is whole."""
    if path is None:
        yield sys.stdout.buffer
        return
    if path.exists() and not path.is_file():
        with path.open("wb") as file:  # a device or a pipe; a directory says what it is
            yield file
        return
    if path.exists() and not overwrite:
        raise CommandError(f"{path} exists. Choose another name, or give --overwrite.")
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            yield file
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
