#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""
mutate.py sample [OPTION]... -- BUILD...	make mutants of the driver
mutate.py report [OPTION]...		print what became of them

A mutant is the driver with one small fault:

  condition	that of an if, a while or a ?: is negated
  comparison	another operator: < and <=, == and !=, && and ||, ...
  call		a call whose result nobody uses is left out; not of what only logs or asserts
  constant	another number, or true for false; also of a #define
  return	another value is returned
  lock		a lock is neither taken nor released: only if asked for, since on one CPU and
		without lockdep few of them show
  fix		a whole patch of the series is reversed

Those of lines that no test reaches are left out: make coverage shows them, and the file
"unreached" lists them.  So are those that do not build, and those whose object code is the
same as without the fault.
"""
import argparse
import collections
import difflib
import hashlib
import itertools
import json
import pathlib
import re
import shlex
import subprocess
import sys

from clang import cindex

import coverage

COMPARISONS = {"==": "!=", "!=": "==", "<": "<=", "<=": "<", ">": ">=", ">=": ">",
               "&&": "||", "||": "&&"}
# What only speaks, or only asserts what a debug kernel would find
SPEAKS = re.compile(r"(dev|pr|pci)_(dbg|info|notice|warn|err)|WARN|BUG|might_sleep|"
                    r"(lockdep|device_lock)_assert|static_assert")
LOCKS = re.compile(r"(?:mutex|spin|read|write)_(?:un)?lock\w*\((.*)\)$", re.S)
# What takes long for what it tells, and is run after the others; and what wants a machine
# of its own (check.sh), and is run after these
SLOW = ["driverctl", "scale", "machines", "outcomes", "matrix", "races", "stress"]
ALONE = ["field", "command.sh", "guide.sh", "guest_pv", "suspend"]
UNREACHED = pathlib.Path(__file__).with_name("unreached")
PATCHES = pathlib.Path(__file__).parents[2] / "drivers/xen/xen-pciback/patches"


class Mutation:
    """One fault: what to replace in a file"""

    def __init__(self, file, function, operator, *edits):
        self.file = file
        self.function = function
        self.operator = operator
        self.edits = edits      # (begin, end, text)

    def apply(self, text):
        """TEXT with the fault; its lines keep their numbers"""
        for begin, end, new in sorted(self.edits, reverse=True):
            lines = text.count("\n", begin, end) - new.count("\n")
            text = text[:begin] + new + "\n" * lines + text[end:]
        return text

    def describe(self, text):
        """The number of its first line, and what was there and what is there now"""
        begin = min(edit[0] for edit in self.edits)
        before, after = [], []
        for first, last, new in sorted(self.edits):
            start = text.rfind("\n", 0, first) + 1
            stop = text.find("\n", last)
            before.append(" ".join(text[start:stop].split()))
            after.append(" ".join((text[start:first] + new + text[last:stop]).split()))
        return text.count("\n", 0, begin) + 1, "; ".join(before), "; ".join(after)


def compiler_options(command, headers):
    """What libclang wants to know of the command that has made an object"""
    target, words = command.read_text().split("\n", 1)[0].split(":=", 1)
    words = shlex.split(words)
    # From Linux 6.13 on make changes to the module's folder
    options = [f"-working-directory={headers if '/' in target else command.parent}"]
    for i, word in enumerate(words):
        if word in ("-include", "-isystem", "-idirafter"):
            options += words[i:i + 2]
        elif re.match(r"-(I|D|U|std=|nostdinc|funsigned-char|fshort-wchar|m64)", word):
            options.append(word)
    return options


def tokens_of(unit, cursor):
    """(text, begin, end) of each token of CURSOR that is code"""
    for token in unit.get_tokens(extent=cursor.extent):
        if token.kind != cindex.TokenKind.COMMENT:
            yield token.spelling, token.extent.start.offset, token.extent.end.offset


def other_number(spelling):
    """Another number than this one, or None"""
    match = re.match(r"(0[xX][0-9a-fA-F]+|[0-9]+)([uUlL]*)$", spelling)
    if not match:
        return None
    value = int(match[1], 8 if match[1].isdigit() and match[1].startswith("0") else 0)
    # A time that is longer by one is no other.
    return str(value // 10 if value >= 100 else 1 - value if value < 2 else value + 1) + match[2]


def mutate_tokens(unit, function, name):
    """Comparisons and constants: in macros' arguments, too, of which there is no tree"""
    for spelling, begin, end in tokens_of(unit, function):
        if spelling in COMPARISONS:
            yield Mutation(name, function.spelling, "comparison",
                           (begin, end, COMPARISONS[spelling]))
        elif spelling in ("true", "false"):
            new = "false" if spelling == "true" else "true"
            yield Mutation(name, function.spelling, "constant", (begin, end, new))
        elif other_number(spelling):
            yield Mutation(name, function.spelling, "constant",
                           (begin, end, other_number(spelling)))


def another_result(function, value):
    """What to return instead of VALUE"""
    kind = function.result_type.get_canonical().kind
    if kind == cindex.TypeKind.BOOL:
        return f"!({value})" if value not in ("true", "false") else None
    if kind == cindex.TypeKind.POINTER:
        return "NULL" if value != "NULL" else None
    return "0" if value != "0" else "-EIO"


def mutate_tree(function, name, text):
    """Conditions, returned values and calls"""
    kinds = cindex.CursorKind
    locks = {}

    def extent(cursor):
        return cursor.extent.start.offset, cursor.extent.end.offset

    for cursor in function.walk_preorder():
        begin, end = extent(cursor)
        children = list(cursor.get_children())
        word = re.match(r"\w*", text[begin:end])[0]
        # What a macro is made of is not in this file.
        if (cursor.kind, word) in ((kinds.IF_STMT, "if"), (kinds.WHILE_STMT, "while")) or \
                cursor.kind == kinds.CONDITIONAL_OPERATOR:
            first, last = extent(children[0])
            if begin <= first < last < end and text[last:end].lstrip()[:1] in (")", "?"):
                yield Mutation(name, function.spelling, "condition",
                               (first, last, f"!({text[first:last]})"))
        elif cursor.kind == kinds.RETURN_STMT and word == "return" and children:
            first, last = extent(children[0])
            new = another_result(function, text[first:last])
            if new:
                yield Mutation(name, function.spelling, "return", (first, last, new))
        if cursor.kind not in (kinds.COMPOUND_STMT, kinds.IF_STMT, kinds.FOR_STMT,
                               kinds.WHILE_STMT, kinds.LABEL_STMT):
            continue
        for child in children:
            first, last = extent(child)
            call = text[first:last]
            if not re.match(r"\w+\(.*\)$", call, re.S) or text[last:last + 1] != ";" or \
                    not re.search(r"([;:{})]|else)\s*$", text[:first]) or \
                    re.match(r"(if|for|while|switch|scoped_guard|\w*for_each\w*)\b", call):
                continue
            if match := LOCKS.match(call):
                locks.setdefault(match[1], set()).add((first, last, "do { } while (0)"))
            elif not SPEAKS.match(call):
                yield Mutation(name, function.spelling, "call",
                               (first, last, "do { } while (0)"))
    for edits in locks.values():
        yield Mutation(name, function.spelling, "lock", *edits)
    begin, end = extent(function)
    for match in re.finditer(r"\bguard\(\w+\)\([^;]*\);|\bscoped_guard\([^)]*\)", text[begin:end]):
        new = "if (true)" if match[0].startswith("scoped") else ";"
        yield Mutation(name, function.spelling, "lock",
                       (begin + match.start(), begin + match.end(), new))


def mutations_of(source, headers):
    """All of a file"""
    unit = cindex.Index.create().parse(
        str(source), args=compiler_options(source.with_name(f".{source.stem}.o.cmd"), headers))
    for problem in unit.diagnostics:
        if problem.severity >= cindex.Diagnostic.Fatal:
            sys.exit(f"libclang: {problem}")
    text = source.read_text()
    for function in unit.cursor.get_children():
        if function.kind == cindex.CursorKind.FUNCTION_DECL and function.is_definition() and \
                function.location.file.name == str(source):
            yield from mutate_tokens(unit, function, source.name)
            yield from mutate_tree(function, source.name, text)
    for match in re.finditer(r"^#define \w+\s+(\d+)\b", text, re.M):
        yield Mutation(source.name, "", "constant",
                       (match.start(1), match.end(1), other_number(match[1])))


class Reversal:
    """A patch of the series, reversed"""
    operator = "fix"
    function = ""

    def __init__(self, patch):
        self.patch = patch
        self.file = patch.name

    def describe(self, _):
        """As a Mutation's"""
        return 1, self.patch.read_text().split("\n", 1)[0], "reversed"


class Sampler:
    """Makes mutants in the folder of a driver that is built"""

    def __init__(self, args):
        self.args = args
        self.sources = args.sources
        self.texts = {path.name: path.read_text() for path in self.sources.glob("*.[ch]")}
        self.objects = self.read_objects()
        self.built = {path: path.read_bytes() for path in self.sources.glob("*.o")}
        self.reached = {program: set(lines) for program, lines in
                        json.loads(args.coverage.read_text()).items()}

    def read_objects(self):
        """The object files' code, without their debug information"""
        objects = {}
        for path in self.sources.glob("*.o"):
            if not path.name.startswith("xen-pciback."):
                subprocess.run(["objcopy", "-g", path, self.args.out / "stripped.o"], check=True)
                objects[path.name] = (self.args.out / "stripped.o").read_bytes()
        return objects

    def candidates(self):
        """All mutations of lines that are ours and were reached"""
        listed = coverage.read_list(UNREACHED, 3)
        for source in sorted(self.sources.glob("*.c")):
            if not source.with_suffix(".o").exists() or source.name.endswith(".mod.c"):
                continue
            ours = coverage.our_lines(self.args.plain, source)
            lines = self.texts[source.name].splitlines()
            seen = set()
            for mutation in mutations_of(source, self.args.headers):
                number, _, _ = mutation.describe(self.texts[source.name])
                key = source.name, mutation.function, lines[number - 1].strip()
                if (ours is None or number in ours) and mutation.edits not in seen and \
                        key not in listed and self.tests(self.near(mutation, number)):
                    seen.add(mutation.edits)
                    yield mutation
        for patch in sorted(PATCHES.glob("fix-*.patch")):
            yield Reversal(patch)

    def near(self, mutation, number):
        """The lines that a mutation is in; none if it is in no function"""
        if not mutation.function:
            return set()
        text = self.texts[mutation.file]
        last = max(text.count("\n", 0, end) for _, end, _ in mutation.edits) + 1
        if mutation.operator not in ("call", "return"):
            # The compiler may have given a condition's code to one of its other lines.
            number, last = number - 1, last + 1
        return {f"{mutation.file}:{at}" for at in range(number, last + 1)}

    def tests(self, near):
        """
        The programs that reach one of these lines, all if there are none: a word for each VM.
        In the first one, what reaches least goes first: it is about these lines more than
        others are, and takes the least time but for the slow ones.
        """
        programs = sorted((program for program, lines in self.reached.items()
                           if not near or near & lines),
                          key=lambda program: (program in SLOW, len(self.reached[program])))
        together = ",".join(program for program in programs if program not in ALONE)
        return [vm for vm in [together, *(name for name in ALONE if name in programs)] if vm]

    def change(self, mutation):
        """Put a mutation into the sources; returns whether that is possible"""
        if isinstance(mutation, Reversal):
            return not subprocess.run(
                ["patch", "-R", "-p4", "--no-backup-if-mismatch", "-s", "-f", "-r", "-",
                 "-d", self.sources, "-i", mutation.patch],
                stdout=subprocess.DEVNULL, check=False).returncode
        text = self.texts[mutation.file]
        (self.sources / mutation.file).write_text(mutation.apply(text))
        return True

    def diff_and_restore(self):
        """The sources as they were; what was changed in them, as a patch and as lines"""
        diff = []
        lines = set()
        for name, text in self.texts.items():
            now = (self.sources / name).read_text()
            if now != text:
                path = f"drivers/xen/xen-pciback/{name}"
                old, new = text.splitlines(True), now.splitlines(True)
                diff += difflib.unified_diff(old, new, f"a/{path}", f"b/{path}")
                matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
                for tag, first, last, _, _ in matcher.get_opcodes():
                    if tag != "equal":
                        lines |= {f"{name}:{at + 1}" for at in range(first, max(last, first + 1))}
                (self.sources / name).write_text(text)
        # As new as they are
        for path, content in self.built.items():
            path.write_bytes(content)
        return "".join(diff), lines

    def build(self, mutation):
        """A mutant; False if it is none"""
        built = self.change(mutation) and not subprocess.run(
            self.args.build, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            check=False).returncode
        differs = built and self.read_objects() != self.objects
        diff, lines = self.diff_and_restore()
        if not differs:
            if isinstance(mutation, Reversal):
                print(f"{mutation.file} cannot be reversed alone")
            return False
        text = self.texts.get(mutation.file, "")
        number, before, after = mutation.describe(text)
        if not isinstance(mutation, Reversal):
            lines = self.near(mutation, number)
        elif not self.tests(lines):
            lines = set()
        name = f"{pathlib.Path(mutation.file).stem}-{number}-{mutation.operator}"
        while (self.args.out / f"{name}.patch").exists():
            name += "+"
        fields = [mutation.file, str(number), mutation.function, mutation.operator, before, after]
        (self.args.out / f"{name}.patch").write_text(
            "Mutation: " + "\t".join(fields) + "\nTests: " +
            " ".join(self.tests(lines)) + "\n---\n" + diff)
        (self.sources / "xen-pciback.ko").replace(self.args.out / f"{name}.ko")
        return True


def in_turns(candidates, texts, seed):
    """
    In an order that SEED tells: one of each operator, then another one of each.  The place
    of one does not depend on which others there are, since a race may reach a line or not.
    """
    turns = {}
    same = collections.Counter()
    for mutation in candidates:
        _, before, after = mutation.describe(texts.get(mutation.file, ""))
        key = (mutation.file, mutation.function, mutation.operator, before, after)
        same[key] += 1
        digest = hashlib.sha256(repr((seed, key, same[key])).encode()).hexdigest()
        turns.setdefault(mutation.operator, []).append((digest, mutation))
    for turn in itertools.zip_longest(*(sorted(turns[operator], key=lambda pair: pair[0])
                                        for operator in sorted(turns))):
        yield from (pair[1] for pair in turn if pair)


def sample(args):
    """Choose candidates at random until enough of them are mutants"""
    sampler = Sampler(args)
    candidates = [mutation for mutation in sampler.candidates()
                  if (mutation.operator in args.operators.split(",") if args.operators else
                      mutation.operator != "lock")]
    made = tried = 0
    for mutation in in_turns(candidates, sampler.texts, args.seed):
        if made == args.number:
            break
        tried += 1
        made += sampler.build(mutation)
    print(f"{made} mutants of {len(candidates)} candidates; {tried - made} did not build, or "
          "were no other code")


def read_mutants(folder):
    """The names of mutants, and their fields"""
    for path in sorted(folder.glob("*.patch")):
        first = path.read_text().split("\n", 1)[0]
        yield path.stem, first.removeprefix("Mutation: ").split("\t")


def key_of(fields):
    """What a mutant is known by, whatever line it is in"""
    file, _, function, operator, before, after = fields
    return file, function, operator, before, after


def print_table(rows):
    """How many of how many were caught, by file and operator"""
    count = {}
    for result, file, _, _, operator, *_ in rows:
        place = "patches" if operator == "fix" else file
        for cell in itertools.product((place, "all"), (operator, "all")):
            caught, number = count.get(cell, (0, 0))
            count[cell] = caught + (result == "caught"), number + 1
    places, operators = (sorted({cell[i] for cell in count},
                                key=lambda name: (name == "all", name)) for i in (0, 1))
    print(f"{'':20}" + "".join(f"{name:>11}" for name in operators))
    for place in places:
        cells = ["/".join(map(str, count.get((place, operator), ()))) for operator in operators]
        print(f"{place:20}" + "".join(f"{cell:>11}" for cell in cells))


def report(args):
    """The score, and those that no test has found"""
    explained = coverage.read_list(args.survivors, 5)
    rows = []
    for name, fields in read_mutants(args.out):
        result = (args.results / f"mutant-{name}.result")
        text = result.read_text() if result.exists() else ""
        if text.startswith("ok "):
            rows.append(["caught", *fields, text.split("caught by: ", 1)[1].strip()])
        elif reason := explained.get(key_of(fields)):
            rows.append(["explained", *fields, reason])
        else:
            rows.append(["survived" if text else "not run", *fields, ""])
    args.table.write_text("".join("\t".join(row) + "\n" for row in rows))
    for result in "explained", "survived", "not run":
        for row in rows:
            if row[0] == result:
                print(f"{result}: {row[1]}:{row[2]} {row[3]}(): {row[4]}\n"
                      f"  - {row[5]}\n  + {row[6]}" + (f"\n  {row[7]}" if row[7] else ""))
    print_table(rows)
    count = {result: sum(row[0] == result for row in rows)
             for result in ("caught", "explained", "survived", "not run")}
    print(f"score: {count['caught']} of {len(rows)} mutants were caught, {count['explained']} "
          f"survive for a reason; all are in {args.table}")
    bad = count["survived"] + count["not run"]
    print(f"{count['caught'] + count['explained']} passed, {bad} failed, 0 skipped")
    return bad > 0 or not rows


def main():
    """The command line"""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("sample")
    command.set_defaults(run=sample)
    command.add_argument("--number", type=int, required=True)
    command.add_argument("--seed", required=True)
    command.add_argument("--operators", default="")
    for name in "sources", "plain", "headers", "coverage", "out":
        command.add_argument(f"--{name}", type=pathlib.Path, required=True)
    command.add_argument("build", nargs="+")
    command = commands.add_parser("report")
    command.set_defaults(run=report)
    for name in "results", "survivors", "out", "table":
        command.add_argument(f"--{name}", type=pathlib.Path, required=True)
    args = parser.parse_args()
    sys.exit(args.run(args))


if __name__ == "__main__":
    main()
