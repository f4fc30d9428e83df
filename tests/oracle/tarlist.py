"""Prints what Python's tarfile reads in archives: a line of JSON for each, of its members and the error that ended the
reading, if one did. An oracle of tests/tar_differential.rs. Arguments: a folder with archives called 0, 1, 2 and so on,
their number, and how many bytes of a member's content are hashed. What takes longer than some seconds is given up: there
are archives that it never ends to read (CVE-2025-8194)."""

import hashlib
import json
import os
import signal
import sys
import tarfile


def kind(member):
    if member.isdir():
        return "directory"
    if member.issym():
        return "symlink"
    if member.islnk():
        return "hardlink"
    if member.isblk():
        return "block"
    if member.isfifo():
        return "fifo"
    if member.ischr():
        return "zero" if (member.devmajor, member.devminor) == (0, 0) else "character"
    return "file"


def raw(name):
    return name.encode("utf-8", "surrogateescape").hex()


def content(archive, member, limit):
    """The hash of the beginning of a file's content, or why it cannot be read."""
    try:
        return hashlib.sha256(archive.extractfile(member).read(limit)).hexdigest()
    except (tarfile.TarError, OSError, ValueError, OverflowError) as error:
        return repr(error)


def listing(path, limit):
    found = []
    error = None
    signal.alarm(10)
    try:
        with tarfile.open(path, "r:", encoding="utf-8", errors="surrogateescape") as archive:
            for member in archive:
                what = kind(member)
                found.append(
                    {
                        "name": raw(member.name),
                        "link": raw(member.linkname) if what.endswith("link") else "",
                        "kind": what,
                        "size": member.size if what == "file" else 0,
                        "content": content(archive, member, limit) if what == "file" else "",
                    }
                )
    except Exception as failure:
        error = repr(failure)
    signal.alarm(0)
    return {"members": found, "error": error}


def give_up(*_):
    raise TimeoutError("it does not end")


signal.signal(signal.SIGALRM, give_up)
folder, count, limit = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
print(sys.version.split()[0])
for number in range(count):
    print(json.dumps(listing(os.path.join(folder, str(number)), limit)))
