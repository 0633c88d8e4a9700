"""Known words found in class names and in lines, compiled.

Text is code points, as `page_kernels` writes it: NUL behind each string.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from waman.compiled import compiled
from waman.crawl.page_kernels import Points, Table, is_space

NO_LETTER, OTHER_LETTER = 0, 1
"""The symbols of what stands in no word, and in none of these words; one of their letters has a symbol above."""
_ROOT, _NOWHERE = 0, -1


class Words(NamedTuple):
    """Words as a tree: from the root, each letter leads to another state, the last to one that holds their groups."""

    symbols: NDArray[np.uint8]
    """(code points,): the symbol of each; OTHER_LETTER for those beyond."""
    next_states: NDArray[np.int16]
    """(states, symbols): -1 where no word goes on so."""
    groups: Table
    """(states,): groups of the word that ends there, a bit each; 0 where none does."""


@compiled
def groups_of_names(
    names: Points, parts: Words, stems: Words, states: Words, limits: tuple[int, int, int], joined: int
) -> Table:
    """The groups (a bit each) whose words each string of class names holds: (strings,).

    A name that begins as one of the `states` tells nothing. `limits`: names of a string, characters of a name and its
    parts, above which it tells nothing; `joined`: groups of which two parts may be a word together.
    """
    groups = np.zeros((names == 0).sum(), np.int64)
    max_names, max_characters, max_parts = limits
    string = num_names = 0
    start = -1
    for at in range(len(names)):
        if names[at] and not is_space(names[at]):
            start = at if start < 0 else start
            continue
        if start >= 0 and num_names < max_names:
            name = names[start : min(at, start + max_characters)]
            if not _begins_as(name, states):
                groups[string] |= _groups_of_name(name, parts, stems, max_parts, joined)
            num_names += 1
        start = -1
        if names[at] == 0:
            string += 1
            num_names = 0
    return groups


@compiled
def groups_of_lines(lines: Points, words: Words, max_characters: int) -> Table:
    """The groups (a bit each) whose words each line holds, none for long lines: (lines that are not empty,)."""
    groups = np.zeros((lines == 0).sum(), np.int64)
    start = num_lines = 0
    for stop in range(len(lines)):
        if lines[stop] == 0:
            if start < stop <= start + max_characters:
                groups[num_lines] = _groups_of_line(lines[start:stop], words)
            num_lines += start < stop
            start = stop + 1
    return groups[:num_lines]


@compiled
def _symbol(words: Words, point: int) -> int:
    return words.symbols[point] if point < len(words.symbols) else OTHER_LETTER


@compiled
def _begins_as(name: Points, words: Words) -> bool:
    """Whether a word stands at the beginning of a name, up to its end, a dash or an underscore."""
    state = _ROOT
    for place in range(len(name)):
        state = words.next_states[state, _symbol(words, name[place])]
        if state == _NOWHERE:
            return False
        if words.groups[state] and (place + 1 == len(name) or name[place + 1] == 45 or name[place + 1] == 95):
            return True
    return False


@compiled
def _groups_of_name(name: Points, parts: Words, stems: Words, max_parts: int, joined: int) -> int:
    groups = num_parts = at = 0
    before = _NOWHERE
    while at < len(name):
        stop = _end_of_part(name, at)
        if stop > at:
            own, both = _ROOT, before
            for place in range(at, stop):
                symbol = _symbol(parts, name[place])
                own = parts.next_states[own, symbol] if own != _NOWHERE else _NOWHERE
                both = parts.next_states[both, symbol] if both != _NOWHERE else _NOWHERE
            groups |= parts.groups[own] if own != _NOWHERE else 0
            groups |= parts.groups[both] & joined if both != _NOWHERE else 0
            before = own
            num_parts += 1
        at = max(stop, at + 1)
    return groups | _groups_of_stems(name, stems) if num_parts <= max_parts else 0


@compiled
def _end_of_part(name: Points, at: int) -> int:
    """Where small letters end, of which the first may be a capital, or else capitals; here, where there is none."""
    stop = at
    if _is_capital(name[at]) and (at + 1 == len(name) or not 97 <= name[at + 1] <= 122):
        while stop < len(name) and _is_capital(name[stop]):
            stop += 1
        return stop
    stop += _is_capital(name[at])
    while stop < len(name) and 97 <= name[stop] <= 122:
        stop += 1
    return stop


@compiled
def _is_capital(point: int) -> bool:
    return 65 <= point <= 90


@compiled
def _groups_of_stems(name: Points, stems: Words) -> int:
    """The groups of the stems in a name, from left to right the longest, none inside another."""
    groups = at = 0
    while at < len(name):
        found, stop, state = 0, at + 1, _ROOT
        for place in range(at, len(name)):
            state = stems.next_states[state, _symbol(stems, name[place])]
            if state == _NOWHERE:
                break
            if stems.groups[state]:
                found, stop = stems.groups[state], place + 1
        groups |= found
        at = stop
    return groups


@compiled
def _groups_of_line(line: Points, words: Words) -> int:
    groups, state = 0, _ROOT
    for point in line:
        symbol = _symbol(words, point)
        if symbol == NO_LETTER:
            groups |= words.groups[state] if state != _NOWHERE else 0
            state = _ROOT
        elif state != _NOWHERE:
            state = words.next_states[state, symbol]
    return groups | words.groups[state] if state != _NOWHERE else groups
