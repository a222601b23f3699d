#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""
messages.py PAGE SOURCE...

Which messages of these C files does the page not explain, and which of its terms is no
message of theirs any more?

A message is explained if the page has a part of it: what is between formats and
punctuation, from 8 characters on.  A term is in double backquotes, on the line above an
indented one; capitals in it stand for what a format prints.  The page's sections from
OTHERS on are about other programs.

Prints a line for each.
"""
import re
import sys

FUNCTIONS = (r'dev_(?:err|warn|notice|info)\w*|pr_(?:err|warn|notice|info)\w*|WARN|'
             r'xenbus_dev_(?:error|fatal)|pcibk_note|pcibk_blocked|warn|refuse|die|print_result')
# The results of a command that has succeeded need no explanation.
GOOD = ('"ok"', '"clean"', '"undone"')
STRING = r'"(?:[^"\\]|\\.)*"'
HOLES = r"%[-0-9.*]*l*[a-z]|\\n|dom(?:ain )?N|\b(?:N|BDF|ID|PATH|TEXT|WHY|DRIVER)\b|[\d:;,?!()'*]|\.\.\."
OTHERS = 'What the toolstack says\n'


def plain(text):
    """On one line, and without the marks that only one of page and source has."""
    return re.sub(r'\s+', ' ', re.sub(r'[`*\\]', ' ', text))


def parts(text):
    """What is constant in the text and long enough to be found by."""
    found = (plain(part).strip() for part in re.split(HOLES, text))
    return [part for part in found if len(part) >= 8]


def calls(source):
    """The line and the arguments of each call of one of the functions."""
    for call in re.finditer(rf'\b(?:{FUNCTIONS})\(', source):
        depth, end = 1, call.end()
        while depth and end < len(source):
            string = re.compile(STRING).match(source, end)
            end = string.end() if string else end + 1
            if not string:
                depth += {'(': 1, ')': -1}.get(source[end - 1], 0)
        yield source.count('\n', 0, call.start()) + 1, source[call.end():end]


def read_source(name):
    """A source, with adjacent strings joined into one, also with a macro in between."""
    with open(name, encoding='utf-8') as file:
        return re.sub(r'(?<!\\)"(?:\s|\\\n|[A-Z_])+"', '', file.read())


def main():
    page_name, sources = sys.argv[1], {name: read_source(name) for name in sys.argv[2:]}
    with open(page_name, encoding='utf-8') as file:
        page = file.read()
    words, code = plain(page), plain(' '.join(sources.values()))

    for name, source in sources.items():
        for line, arguments in calls(source):
            strings = re.findall(STRING, arguments)
            if any(good in strings for good in GOOD):
                continue
            for string in strings:
                known = parts(string[1:-1])
                if known and not any(part in words for part in known):
                    print(f'{name}:{line}: {page_name} does not explain "{known[0]}"')

    own = page[:page.index(OTHERS)]
    for term in re.finditer(r'^``.*(?=\n +\S)', own, re.MULTILINE):
        for literal in re.findall(r'``(.+?)``', term[0]):
            known = parts(literal)
            if known and not any(part in code for part in known):
                line = own.count('\n', 0, term.start()) + 1
                print(f'{page_name}:{line}: no source has "{known[0]}"')


main()
