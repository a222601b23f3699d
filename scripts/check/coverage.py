#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""
coverage.py [--enough PERCENT] MODULE PLAIN UNREACHED OUT NAME=TRACE...

Which lines of the driver have the tests reached?

MODULE is the driver with its debug information, its sources beside it in the folder
xen-pciback; PLAIN is that folder without our patches.  Each TRACE is QEMU's log of the
blocks of modules that it has translated (-d in_asm), of the VM that is called NAME.
Counted are the lines of our files, and what our patches add to upstream's, as far as the
compiler has made code of them.

UNREACHED lists lines that no test reaches: FILE, FUNCTION, the line's text (* for the
whole function) and the reason, separated by tabs.

Prints a table, and what was never reached; leaves in OUT which VM has reached what.
Fails if less than PERCENT of the lines that are not listed were reached.
"""
import argparse
import collections
import difflib
import json
import pathlib
import re
import subprocess
import sys

# So many bytes of a block tell where in the module it is, if they are found once there.
KEY = 10
# So many blocks must agree on where a section was.
VOTES = 3

OURS = pathlib.Path(__file__).parents[2] / "drivers/xen/xen-pciback"

Line = collections.namedtuple("Line", "file number")


class Section:
    """A section of the module: its instructions and the lines that they are from"""

    def __init__(self):
        self.code = {}          # offset: bytes, or None if a relocation changes them
        self.lines = {}         # offset: Line
        self.keys = {}          # the first bytes of a block: its offset, None if many

    def index(self):
        """Find the sequences of instructions that are there once"""
        offsets = sorted(self.code)
        for i, offset in enumerate(offsets):
            key = b""
            for at in offsets[i:]:
                if self.code[at] is None or len(key) >= KEY:
                    break
                key += self.code[at]
            if len(key) >= KEY:
                key = key[:KEY]
                self.keys[key] = None if key in self.keys else offset


def disassemble(module):
    """The module's sections by name, from objdump"""
    out = subprocess.run(["objdump", "-drlw", module], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    sections = {}
    path = line = None
    for text in out.splitlines():
        if match := re.match(r" +([0-9a-f]+):\t((?:[0-9a-f]{2} )+)", text):
            offset = int(match[1], 16)
            moved = ": R_X86_64_" in text
            section.code[offset] = None if moved else bytes.fromhex(match[2])
            if line and not padding:
                section.lines[offset] = Line(path, line)
        elif match := re.match(r"Disassembly of section (.*):", text):
            section = sections.setdefault(match[1], Section())
        elif match := re.match(r"(/.*):(\d+)( |$)", text):
            path, line = match[1], int(match[2])
        elif text.endswith(">:"):
            padding = "<__pfx_" in text
            line = None
    for section in sections.values():
        section.index()
    return sections


def blocks(trace):
    """The blocks in QEMU's log: lists of addresses and bytes"""
    block = []
    with open(trace, encoding="ascii", errors="replace") as log:
        for text in log:
            match = re.match(r"0x([0-9a-f]{16}):  ((?:[0-9a-f]{2} )*[0-9a-f]{2})( |$)",
                             text.rstrip("\n"))
            if not match:
                if block:
                    yield block
                block = []
            elif match[3]:
                block.append((int(match[1], 16), bytes.fromhex(match[2])))
            else:
                # An instruction's ninth byte and the rest are on a line of their own.
                block[-1] = (block[-1][0], block[-1][1] + bytes.fromhex(match[2]))
    if block:
        yield block


def reached(sections, trace):
    """The Lines that a VM has reached, wherever the module was in the meantime"""
    traced = list(blocks(trace))
    lines = set()
    for section in sections.values():
        votes = collections.Counter()
        for block in traced:
            key = b"".join(code for _, code in block)[:KEY]
            offset = section.keys.get(key)
            if offset is not None:
                votes[block[0][0] - offset] += 1
        for base in (base for base, number in votes.items() if number >= VOTES):
            for block in traced:
                offsets = [address - base for address, code in block
                           if section.code.get(address - base, code) == code or
                           section.code.get(address - base) is None]
                offsets = [offset for offset in offsets if offset in section.code]
                # The kernel changes some when it loads a module; more is not this one.
                if 2 * len(offsets) >= len(block):
                    lines.update(section.lines[offset] for offset in offsets
                                 if offset in section.lines)
    return lines


def our_lines(plain, path):
    """The numbers of the lines of a file that are ours; None if all are"""
    if (OURS / path.name).exists():
        return None
    old = (plain / path.name).read_text().splitlines()
    new = path.read_text().splitlines()
    numbers = set()
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for tag, _, _, begin, end in matcher.get_opcodes():
        if tag != "equal":
            numbers.update(range(begin + 1, end + 1))
    return numbers


def counted(lines, plain, sources):
    """Those of the Lines that are ours"""
    paths = {line.file for line in lines}
    ours = {path: our_lines(plain, pathlib.Path(path)) for path in paths
            if pathlib.Path(path).parent == sources}
    return {line for line in lines if line.file in ours and
            (ours[line.file] is None or line.number in ours[line.file])}


def read_list(path, fields):
    """A committed list of what is known by some fields, and why: {fields: reason}"""
    result = {}
    for text in path.read_text().splitlines():
        if text and not text.startswith("#"):
            *key, reason = text.split("\t")
            if len(key) != fields:
                sys.exit(f"{path}: {len(key) + 1} fields: {text}")
            result[tuple(key)] = reason
    return result


def row(name, functions, reached_functions, lines, reached_lines):
    """A row of the table"""
    def cell(total, part):
        return f"{part:5}/{total:<5}{100 * part / total if total else 100:6.1f} %"
    print(f"  {name:26}{cell(functions, reached_functions)}   {cell(lines, reached_lines)}")


def functions_of(text):
    """Which function each of the lines of a source file is in"""
    function = ""
    result = [""]
    for line in text:
        if match := re.match(r"[a-z_].*\b(\w+)\(.*[^;]$", line):
            function = match[1]
        result.append(function)
    return result


def report(there, ran, listed):
    """Print the table and what was not reached; returns the percentage that counts"""
    print(f"  {'':26}{'functions':>18}   {'lines':>18}")
    total = [0, 0, 0, 0]
    never = []
    used = set()
    excused = 0
    for path in sorted({line.file for line in there}):
        name = pathlib.Path(path).name
        text = pathlib.Path(path).read_text().splitlines()
        function = functions_of(text)
        # A function that is inlined may also exist apart, and not be called.
        lines = sorted(line.number for line in there if line.file == path and
                       text[line.number - 1].strip() not in ("{", "}"))
        reached_lines = [number for number in lines if (path, number) in ran]
        functions = {function[number] for number in lines}
        alive = {function[number] for number in reached_lines}
        counts = [len(functions), len(alive), len(lines), len(reached_lines)]
        row(name, *counts)
        total = [a + b for a, b in zip(total, counts)]

        never += [f"{name}: {dead}() was never called" for dead in sorted(functions - alive)]
        for number in sorted(set(lines) - set(reached_lines)):
            source = text[number - 1].strip()
            whole, key = (name, function[number], "*"), (name, function[number], source)
            reasons = [listed[each] for each in (whole, key)
                       if each in listed and (each is whole or each not in used)]
            used |= {whole, key}
            excused += bool(reasons)
            never.append(f"{name}:{number}: {function[number]}(): {source}" +
                         "".join(f"  [{reason}]" for reason in reasons))
    row("all", *total)
    print(f"\nNever reached, of which {excused} lines are listed, with a reason:")
    print("\n".join(never))
    for key in sorted(listed.keys() - used):
        print("listed, but reached or not there:", *key)
    return 100 * total[3] / (total[2] - excused)


def main():
    """Compare what there is with what was reached"""
    parser = argparse.ArgumentParser()
    parser.add_argument("--enough", type=float, default=0, help="percent of the lines")
    for name in "module", "plain", "unreached", "out":
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument("traces", nargs="+")
    args = parser.parse_args()

    sections = disassemble(args.module)
    by_vm = {name: reached(sections, trace) for name, trace in
             (argument.split("=", 1) for argument in args.traces)}
    ran = set().union(*by_vm.values())
    sources = args.module.parent / "xen-pciback"
    args.out.write_text(json.dumps({
        name: sorted({f"{pathlib.Path(line.file).name}:{line.number}" for line in lines
                      if pathlib.Path(line.file).parent == sources})
        for name, lines in by_vm.items()}))

    there = {line for section in sections.values() for line in section.lines.values()}
    percent = report(counted(there, args.plain, sources), ran, read_list(args.unreached, 3))
    print(f"{percent:.1f} % of the lines that are not listed were reached")
    if percent < args.enough:
        sys.exit(f"{sys.argv[0]}: less than {args.enough} %")


if __name__ == "__main__":
    main()
