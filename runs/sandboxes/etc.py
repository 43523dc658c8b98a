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
    "debian_version", "fonts", "gai.conf", "gss", "host.conf", "inputrc", "ld.so.cache",
    "ld.so.conf", "ld.so.conf.d", "locale.alias", "localtime", "magic", "magic.mime",
    "mime.types", "nsswitch.conf", "os-release", "profile.d", "protocols", "python3",
    "python3.11", "python3.12", "python3.13", "rpc", "services", "ssl/openssl.cnf", "terminfo",
    "timezone", "xattr.conf",
)
# fmt: on
COPIED_FOR_NETWORK = ("ca-certificates.conf", "crypto-policies", "resolv.conf")
# Hundreds of links, for everybody: shown as they are, because copying them takes long.
SHOWN = ("alternatives",)
SHOWN_FOR_NETWORK = ("ssl/certs", "pki/tls/certs", "pki/ca-trust/extracted")
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
        (target / name).parent.mkdir(exist_ok=True)
        copy_public(f"/etc/{name}", f"{target}/{name}")
    for path in shown_of_etc(network):
        (target / path.removeprefix("/etc/")).mkdir(parents=True, exist_ok=True)
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
    make_public(target)


def make_public(top: Path) -> None:
    """Whatever our umask is: everybody may pass and read."""
    for directory, _, names in os.walk(top):
        os.chmod(directory, 0o755)
        for name in names:
            path = os.path.join(directory, name)
            if not os.path.islink(path):
                os.chmod(path, 0o755 if os.access(path, os.X_OK) else 0o644)


def shown_of_etc(network: bool) -> list[str]:
    names = (*SHOWN, *(SHOWN_FOR_NETWORK if network else ()))
    return [path for path in map("/etc/{}".format, names) if os.path.isdir(path)]


def copy_public(source: str, target: str) -> None:
    """Copy what everybody may read, links as links unless they lead out of what is shown."""
    try:
        link = os.readlink(source) if os.path.islink(source) else ""
        if link and "/run/" not in link:
            os.symlink(link, target)
            return
        mode = os.stat(source).st_mode
        if stat.S_ISREG(mode) and mode & stat.S_IROTH:
            shutil.copyfile(source, target)
            os.chmod(target, mode & 0o755)
        elif stat.S_ISDIR(mode) and mode & stat.S_IROTH:
            os.mkdir(target)
            for name in os.listdir(source):
                copy_public(f"{source}/{name}", f"{target}/{name}")
    except OSError:
        return  # not there, or not for everybody


def etc_of_this_server(scratch: Path) -> Path:
    return scratch / f"{PREFIX}{os.getpid()}"


def remove_etcs(scratch: Path) -> None:
    """Remove those of servers that are gone."""
    for path in scratch.glob(f"{PREFIX}*"):
        if not Path("/proc", path.name.removeprefix(PREFIX)).exists():
            shutil.rmtree(path, ignore_errors=True)
