#!/usr/bin/env python3
"""Writes the snapshot of a directory by the rules of docs/spec/release.md.

A second implementation, which shares nothing with the first but the text:
    python3 snapshot.py DIR | sha256sum
"""
import os
import stat
import sys


def plain(name):
    cut = name[:100]
    out = bytearray(c if 0x20 <= c <= 0x7E else 0x5F for c in cut)
    if len(cut) < len(name) and out[-1:] == b"/":
        out[-1:] = b"_"
    return bytes(out)


def octal(value, width):
    return b"%0*o\0" % (width - 1, value)


def header(kind, name, mode, size, mtime, target=b""):
    h = bytearray(512)

    def put(at, text):
        h[at:at + len(text)] = text
    put(0, plain(name))
    put(100, octal(mode, 8))
    put(108, octal(0, 8))
    put(116, octal(0, 8))
    put(124, octal(size if size < 8 ** 11 else 0, 12))
    put(136, octal(mtime, 12))
    put(148, b" " * 8)
    put(156, kind)
    put(157, plain(target))
    put(257, b"ustar\0" + b"00")
    put(329, octal(0, 8))
    put(337, octal(0, 8))
    put(148, b"%06o\0 " % sum(h))
    return bytes(h)


def record(key, value):
    rest = b" " + key + b"=" + value + b"\n"
    n = len(rest)
    while len(str(n)) + len(rest) != n:
        n = len(str(n)) + len(rest)
    return str(n).encode() + rest


def pad(data):
    return data + b"\0" * (-len(data) % 512)


def fits(text):
    return len(text) <= 100 and plain(text) == text


def entry(out, kind, name, mode, data=b"", target=b"", mtime=0):
    records = b""
    if not fits(target):
        records += record(b"linkpath", target)
    if not fits(name):
        records += record(b"path", name)
    if len(data) >= 8 ** 11:
        records += record(b"size", str(len(data)).encode())
    if records:
        out.write(header(b"x", b"pax", 0o644, len(records), mtime) + pad(records))
    out.write(header(kind, name, mode, len(data), mtime, target) + pad(data))


def walk(root, name):
    names = [n for n in os.listdir(os.path.join(root, name)) if n != b".git"]
    if not names and name:
        yield name + b"/"
    for n in names:
        path = name + b"/" + n if name else n
        if stat.S_ISDIR(os.lstat(os.path.join(root, path)).st_mode):
            yield from walk(root, path)
        else:
            yield path


def main():
    root, out = os.fsencode(sys.argv[1]), sys.stdout.buffer
    for name in sorted(walk(root, b"")):
        full = os.path.join(root, name)
        st = os.lstat(full)
        if name.endswith(b"/"):
            entry(out, b"5", name, 0o755)
        elif stat.S_ISLNK(st.st_mode):
            entry(out, b"2", name, 0o777, target=os.readlink(full))
        else:
            with open(full, "rb") as f:
                entry(out, b"0", name, 0o755 if st.st_mode & 0o100 else 0o644, f.read())
    out.write(b"\0" * 1024)


main()
