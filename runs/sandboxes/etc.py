"""The small /etc that confined programs see, made once per server."""

import os
import shutil
import stat
from pathlib import Path

HOME = "/home/sandbox"
PREFIX = "etc-"
# What programs need of the system's own; of these only what everybody may read.
# fmt: off
COPIED = (
    "alternatives", "ca-certificates", "ca-certificates.conf", "ca-certificates.crt",
    "crypto-policies", "debian_version", "fonts", "gai.conf", "gss", "host.conf", "inputrc",
    "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "locale.alias", "localtime", "magic",
    "magic.mime", "mime.types", "nsswitch.conf", "os-release", "pki", "profile.d", "protocols",
    "python3", "python3.11", "python3.12", "python3.13", "rpc", "services", "ssl", "terminfo",
    "timezone", "xattr.conf",
)
# fmt: on
COPIED_FOR_NETWORK = ("resolv.conf",)
# The system's own profile would replace the PATH that we and the user set.
PROFILE = """\
for part in /etc/profile.d/*.sh; do
  [ -r "$part" ] && . "$part"
done
unset part
"""
# User ids that the conventions of systemd leave unused: under root each run gets one.
USER_IDS = range(60600, 61100)


def make_etc(target: Path, network: bool) -> None:
    """Our own small /etc: what programs need and everybody may read."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(mode=0o755)
    for name in (*COPIED, *(COPIED_FOR_NETWORK if network else ())):
        copy_public(Path("/etc") / name, target / name)
    (target / "passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\n"
        f"sandbox:x:1000:1000::{HOME}:/bin/bash\n"
        + "".join(f"sandbox:x:{number}:{number}::{HOME}:/bin/bash\n" for number in USER_IDS)
    )
    (target / "group").write_text(
        "root:x:0:\nsandbox:x:1000:\n" + "".join(f"sandbox:x:{number}:\n" for number in USER_IDS)
    )
    (target / "hosts").write_text("127.0.0.1 localhost sandbox\n::1 localhost\n")
    (target / "hostname").write_text("sandbox\n")
    (target / "profile").write_text(PROFILE)
    for path in target.iterdir():
        if path.is_file() and not path.is_symlink():
            path.chmod(0o644)
    target.chmod(0o755)


def copy_public(source: Path, target: Path) -> None:
    try:
        mode = source.lstat().st_mode
        if stat.S_ISLNK(mode) and not str(source.resolve()).startswith("/run/"):
            target.symlink_to(os.readlink(source))
        elif source.is_file() and source.stat().st_mode & stat.S_IROTH:
            shutil.copyfile(source, target)
            target.chmod(0o755 if mode & stat.S_IXOTH else 0o644)
        elif stat.S_ISDIR(mode) and mode & stat.S_IROTH:
            target.mkdir()
            target.chmod(0o755)
            for child in source.iterdir():
                copy_public(child, target / child.name)
    except OSError:
        return  # not there, or not for everybody


def etc_of_this_server(scratch: Path) -> Path:
    return scratch / f"{PREFIX}{os.getpid()}"


def remove_etcs(scratch: Path) -> None:
    """Remove those of servers that are gone."""
    for path in scratch.glob(f"{PREFIX}*"):
        if not Path("/proc", path.name.removeprefix(PREFIX)).exists():
            shutil.rmtree(path, ignore_errors=True)
