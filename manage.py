#!/usr/bin/env python
import os
import sys


def data_dir_argument(arguments: list[str]) -> str | None:
    """The value of --data-dir. It has to be known before the settings are read."""
    for position, argument in enumerate(arguments):
        if argument.startswith("--data-dir="):
            return argument.partition("=")[2]
        if argument == "--data-dir" and position + 1 < len(arguments):
            return arguments[position + 1]
    return None


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "streamsite.settings")
    if directory := data_dir_argument(sys.argv):
        os.environ["STREAMSITE_DATA_DIR"] = directory
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
