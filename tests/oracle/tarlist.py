"""Prints what Python's tarfile reads in archives: a JSON list for each, of name (in hexadecimal), kind and size of every
member. An oracle of tests/tar_differential.rs. Arguments: a folder with archives called 0, 1, 2 and so on, their number."""

import json
import os
import sys
import tarfile


def kind(member):
    if member.isdir():
        return "d"
    if member.issym() or member.islnk():
        return "l"
    if member.ischr() or member.isblk() or member.isfifo():
        return "o"
    return "f"


def members(path):
    found = []
    try:
        with tarfile.open(path, "r:", encoding="utf-8", errors="surrogateescape") as archive:
            for member in archive:
                name = member.name.encode("utf-8", "surrogateescape").hex()
                found.append((name, kind(member), member.size if kind(member) == "f" else 0))
    except (tarfile.TarError, OSError, ValueError, EOFError, OverflowError):
        pass
    return found


folder, count = sys.argv[1], int(sys.argv[2])
json.dump([members(os.path.join(folder, str(number))) for number in range(count)], sys.stdout)
