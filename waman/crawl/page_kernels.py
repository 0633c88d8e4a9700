"""A parsed page as its containers and lines, compiled: two passes over what the parser writes of its tree.

What it writes (HTML standard, section 13.3) is simpler than pages are: elements are closed unless they are void, values
of attributes stand in double quotes, and in texts and values `<` and quotes are entities, but for the few elements
whose text stands as it is. So a scan for tags with a stack sees the tree. Where a page makes what is written ambiguous,
as by text of a style in an SVG that looks like its end, tags that fit nothing are passed over.

Text goes out as code points, so that places in it are places in a Python string; NUL parts strings.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from waman.compiled import compiled

Bytes = NDArray[np.uint8]
Points = NDArray[np.uint32]
Table = NDArray[np.int64]

INLINE, BREAK, SKIP, LINK, META, TITLE, TEMPLATE = -1, -2, -3, -4, -5, -6, -7
"""What is to be done at an element; at a container its kind, 0 or above, tells."""

USUAL, VOID, RAW, SCRIPT, PLAINTEXT = range(5)
"""How an element is written: up to its end; without one; with text that stands as it is, up to its end, to the first
end that its comments do not hide, or to the last end that there is."""

ATTRIBUTES = ("class", "id", "role", "itemprop", "hidden", "aria-hidden", "style", "name", "property", "content")
_CLASS, _ID, _ROLE, _ITEMPROP, _HIDDEN, _ARIA_HIDDEN, _STYLE, _NAME, _PROPERTY, _CONTENT = range(10)
_ABSENT = -1

# What holds inside an element: its container's number, shifted, and bits; or that nothing in it counts, or is there.
_IN_LINK, _IN_PREFORMATTED, _AS_IT_IS, _BITS, _GONE, _ABROAD = 1, 2, 4, 3, -1, -2

# The first column of an event: what holds of a text, which the others bound; that a container begins, whose number
# follows (_GONE: it is hidden); or minus a code point, which counts only inside a block.
_BEGINS = -1

_TAB, _NEWLINE, _FORM_FEED, _SPACE, _BANG, _QUOTE, _AMPERSAND, _DASH, _SLASH, _COLON = b'\t\n\f !"&-/:'
_LESS, _EQUALS, _GREATER, _QUESTION = b"<=>?"
_ENTITIES = ((b"amp;", _AMPERSAND), (b"lt;", _LESS), (b"gt;", _GREATER), (b"quot;", _QUOTE), (b"nbsp;", 0xA0))
_LONGEST_NAME = 12
"""Characters of a name whose number is no other's."""


class Elements(NamedTuple):
    """The elements that are told apart, ordered by the numbers of their names: (elements,) each."""

    numbers: Table
    actions: Table
    forms: Table


class Kinds(NamedTuple):
    """What is to be known of the kinds of containers: (kinds,) each."""

    is_named_by_heading: NDArray[np.bool_]
    """Whether its id tells nothing."""
    is_preformatted: NDArray[np.bool_]
    begins_name: int
    """The first kind whose class is looked at."""
    heading: int
    """That of a heading of the first order."""


@compiled
def number_of(name: Bytes) -> int:
    """The number of a name."""
    return _read_name(name, 0, _GREATER)[0]


# The first pass


@compiled
def read_elements(
    page: Bytes, elements: Elements, kinds: Kinds, attributes: Table, max_nodes: int, max_depth: int
) -> tuple[Table, Table, Points, Points, bool]:
    """The containers of a page, what happens in it, and what it says of itself.

    attributes: the numbers of ATTRIBUTES. -> containers: (containers, 3) parent, kind, depth; events, in order:
    (events, 3); class, id, role and itemprop of each container; name, property and content of each meta element, two
    empty strings and the text of each title; whether the page has more than `max_nodes`, after which it is left.
    """
    containers, num_containers = np.empty((64, 3), np.int64), 0
    events, num_events = np.empty((256, 3), np.int64), 0
    names, num_names = np.empty(len(page), np.uint32), 0
    said, num_said = np.empty(len(page), np.uint32), 0
    around, num_open = np.empty((64, 2), np.int64), 0  # of the open elements: number of the name, what held outside
    values = np.empty((len(attributes), 2), np.int64)
    has_preformatted = False
    state = at = raw_stop = num_nodes = 0
    while at + 1 < len(page) and num_nodes < max_nodes:
        if num_events == len(events):
            events = _longer(events)
        if page[at] != _LESS or at < raw_stop:  # a text
            as_it_is = _AS_IT_IS if at < raw_stop else 0
            stop = raw_stop if as_it_is else _find(page, at, _LESS)
            if state != _ABROAD and not has_preformatted and _is_blank(page, at, stop, as_it_is):
                num_events = _put_row(events, num_events, -_SPACE, 0, 0)
            elif state >= 0:
                num_events = _put_row(events, num_events, state | as_it_is, at, stop)
            num_nodes += state != _ABROAD
            at = stop
            continue
        if page[at + 1] == _SLASH:
            number, at = _read_name(page, at + 2, _GREATER)
            if num_open and around[num_open - 1, 0] == number:
                num_open -= 1
                state = around[num_open, 1]
            at += 1
            continue
        num_nodes += state != _ABROAD
        if page[at + 1] == _BANG or page[at + 1] == _QUESTION:
            at = _end_of_comment(page, at)
            continue
        name = at + 1
        number, name_stop = _read_name(page, name, _GREATER)
        at = _read_attributes(page, name_stop, attributes, values)
        action, form = _look_up(elements, number, name_stop - name)
        inside = state
        if action == TEMPLATE:
            inside = _ABROAD
        elif state < 0 or action == SKIP:
            inside = min(state, _GONE)
        elif action == LINK:
            inside |= _IN_LINK
        elif action == BREAK:
            num_events = _put_row(events, num_events, -_NEWLINE, 0, 0)
        elif action == META:
            num_said = _put_meta(page, values, said, num_said)
        elif action == TITLE:
            num_said = _put_title(page, at, said, num_said)
            inside = _GONE
        elif action >= 0 and _is_hidden(page, values):
            inside = _GONE
            num_events = _put_row(events, num_events, _BEGINS, _GONE, 0)
        elif action >= 0:
            begun = _GONE
            inside &= (1 << _BITS) - 1
            if kinds.is_preformatted[action]:
                inside |= _IN_PREFORMATTED
                has_preformatted = True
            parent = state >> _BITS if num_containers else -1
            depth = containers[parent, 2] + 1 if num_containers else 0
            if depth <= max_depth:
                if num_containers == len(containers):
                    containers = _longer(containers)
                begun = num_containers
                num_containers = _put_row(containers, num_containers, parent, action, depth)
                num_names = _put_names(page, values, action, kinds, names, num_names)
                parent = begun
            num_events = _put_row(events, num_events, _BEGINS, begun, 0)
            inside |= parent << _BITS
        if form != VOID:
            if num_open == len(around):
                around = _longer(around)
            around[num_open, 0], around[num_open, 1] = number, state
            num_open += 1
            state = inside
        if form >= RAW:
            raw_stop = _end_of_raw(page, at, name, name_stop, form)
    return containers[:num_containers], events[:num_events], names[:num_names], said[:num_said], num_nodes == max_nodes


@compiled
def _longer(table: Table) -> Table:
    longer = np.empty((2 * len(table), table.shape[1]), np.int64)
    for row in range(len(table)):
        for column in range(table.shape[1]):
            longer[row, column] = table[row, column]
    return longer


@compiled
def _put_row(table: Table, count: int, first: int, second: int, third: int) -> int:
    table[count, 0], table[count, 1], table[count, 2] = first, second, third
    return count + 1


@compiled
def _find(page: Bytes, at: int, byte: int) -> int:
    """Where a byte stands next; the end of the page where it does not."""
    while at < len(page) and page[at] != byte:
        at += 1
    return at


@compiled
def _holds(page: Bytes, at: int, word: bytes) -> bool:
    """Whether a word of small letters and signs stands here, its letters in whatever case."""
    if at + len(word) > len(page):
        return False
    for place in range(len(word)):
        byte = page[at + place]
        if byte != word[place] and (byte < 65 or byte > 90 or byte + 32 != word[place]):
            return False
    return True


@compiled
def _is(page: Bytes, at: int, stop: int, word: bytes) -> bool:
    """Whether a word is all that stands between two places."""
    same = stop - at == len(word)
    for place in range(len(word) if same else 0):
        same &= page[at + place] == word[place]
    return same


@compiled
def _read_name(page: Bytes, at: int, end: int) -> tuple[int, int]:
    """The number of the name that begins here, and where it ends: at a space, `>` or, unless it begins so, `end`."""
    number, start = 0, at
    while at < len(page) and page[at] != _SPACE and page[at] != _GREATER and (page[at] != end or at == start):
        number = _with_byte(number, page[at])
        at += 1
    return number, at


@compiled
def _with_byte(number: int, byte: int) -> int:
    """The number of a name that is longer by a byte: in base 39, 1 to 37 small letters, digits, dash, 38 all others."""
    if 97 <= byte <= 122:
        return number * 39 + byte - 96
    return number * 39 + (byte - 21 if 48 <= byte <= 57 else 37 if byte == _DASH else 38)


@compiled
def _look_up(elements: Elements, number: int, length: int) -> tuple[int, int]:
    """What is to be done at an element, and how it is written."""
    place, stop = 0, len(elements.numbers) if length <= _LONGEST_NAME else 0
    while place < stop:  # by halves: NumPy's search takes two seconds to compile
        middle = (place + stop) // 2
        if elements.numbers[middle] == number:
            return elements.actions[middle], elements.forms[middle]
        if elements.numbers[middle] < number:
            place = middle + 1
        else:
            stop = middle
    return INLINE, USUAL


@compiled
def _read_attributes(page: Bytes, at: int, attributes: Table, values: Table) -> int:
    """Fills in where the values of a tag's attributes begin and end; returns where the tag does."""
    for place in range(len(values)):
        values[place, 0] = values[place, 1] = _ABSENT
    while at + 1 < len(page) and page[at] == _SPACE:
        name = at + 1
        number, at = _read_name(page, name, _EQUALS)
        start = at + 2  # behind ="
        length, at = at - name, _find(page, start, _QUOTE)
        for place in range(len(attributes)):
            if attributes[place] == number and length <= _LONGEST_NAME:
                values[place, 0], values[place, 1] = start, at
        at += 1
    return at + 1


@compiled
def _end_of_comment(page: Bytes, at: int) -> int:
    """Behind a comment, or behind whatever else begins so."""
    is_comment = _holds(page, at, b"<!--")
    start = at + 4
    while True:
        at = _find(page, at, _GREATER) + 1
        if not is_comment or at > len(page) or (at - 3 >= start and page[at - 2] == page[at - 3] == _DASH):
            return at


@compiled
def _end_of_raw(page: Bytes, at: int, name: int, name_stop: int, form: int) -> int:
    """Where the text that begins here ends, though `<` may stand in it: at the end of the element of this name."""
    start = at
    in_comment = in_script = False  # a script in a comment in a script: HTML standard, sections 13.2.5.15 to 31
    while form != PLAINTEXT and at < len(page):
        if page[at] == _LESS:
            if not in_script and _is_end_tag(page, at, name, name_stop):
                return at
            if form == SCRIPT and not in_comment:
                in_comment = _holds(page, at, b"<!--")
            elif form == SCRIPT and _holds(page, at, b"</script" if in_script else b"<script"):
                after = at + (8 if in_script else 7)
                if after < len(page) and page[after] in (_TAB, _NEWLINE, _FORM_FEED, _SPACE, _SLASH, _GREATER):
                    in_script = not in_script
        elif page[at] == _GREATER and in_comment and page[at - 1] == page[at - 2] == _DASH:
            in_comment = in_script = False
        at += 1
    for at in range(len(page) - 1, start - 1, -1):  # it was never closed: its end is the last that was written
        if _is_end_tag(page, at, name, name_stop):
            return at
    return len(page)


@compiled
def _is_end_tag(page: Bytes, at: int, name: int, name_stop: int) -> bool:
    stop = at + 2 + name_stop - name
    same = stop < len(page) and page[at] == _LESS and page[at + 1] == _SLASH and page[stop] == _GREATER
    for place in range(name_stop - name if same else 0):
        same &= page[at + 2 + place] == page[name + place]
    return same


@compiled
def _is_hidden(page: Bytes, values: Table) -> bool:
    """Whether the attributes of an element hide it."""
    if values[_HIDDEN, 0] != _ABSENT:
        return True
    start, stop = values[_ARIA_HIDDEN, 0], values[_ARIA_HIDDEN, 1]
    if start != _ABSENT and _is(page, start, stop, b"true"):
        return True
    start, stop = values[_STYLE, 0], values[_STYLE, 1]
    for at in range(max(start, 0), stop):
        if page[at] | 32 == 100 and _sets(page, at, stop, b"display", b"none"):
            return True
        if page[at] | 32 == 118 and _sets(page, at, stop, b"visibility", b"hidden"):
            return True
    return False


@compiled
def _sets(page: Bytes, at: int, stop: int, name: bytes, value: bytes) -> bool:
    """Whether a property of a style is set here, to what begins with a value."""
    if not _holds(page, at, name):
        return False
    at = _behind_space(page, at + len(name), stop)
    if at >= stop or page[at] != _COLON:
        return False
    at = _behind_space(page, at + 1, stop)
    return at + len(value) <= stop and _holds(page, at, value)


@compiled
def _behind_space(page: Bytes, at: int, stop: int) -> int:
    while at < stop and is_space(page[at]):
        at += 1
    return at


@compiled
def _put_names(page: Bytes, values: Table, kind: int, kinds: Kinds, names: Points, num_names: int) -> int:
    """Writes the words that tell what a container is for."""
    if kind >= kinds.begins_name:
        for attribute in (_CLASS, _ID, _ROLE, _ITEMPROP):
            start, stop = values[attribute, 0], values[attribute, 1]
            if start != _ABSENT and (attribute != _ID or not kinds.is_named_by_heading[kind]):
                num_names = _put(page, start, stop, names, num_names)
                names[num_names - 1] = _SPACE
    names[num_names] = 0
    return num_names + 1


@compiled
def _put_meta(page: Bytes, values: Table, said: Points, num_said: int) -> int:
    """Writes what a meta element says, if it says something by name or property."""
    has_name = values[_NAME, 1] > values[_NAME, 0]
    has_property = values[_PROPERTY, 1] > values[_PROPERTY, 0]
    if values[_CONTENT, 1] > values[_CONTENT, 0] and (has_name or has_property):
        for attribute in (_NAME, _PROPERTY, _CONTENT):
            num_said = _put(page, values[attribute, 0], values[attribute, 1], said, num_said)
    return num_said


@compiled
def _put_title(page: Bytes, at: int, said: Points, num_said: int) -> int:
    """Writes the text of a title, behind two empty strings."""
    said[num_said] = said[num_said + 1] = 0
    return _put(page, at, _find(page, at, _LESS), said, num_said + 2)


@compiled
def _put(page: Bytes, at: int, stop: int, points: Points, num_points: int) -> int:
    """Writes a text or value, and a NUL; returns how many code points there are now."""
    while at < stop:
        points[num_points], at = _read_point(page, at, 0)
        num_points += 1
    points[num_points] = 0
    return num_points + 1


@compiled
def _read_point(page: Bytes, at: int, as_it_is: int) -> tuple[int, int]:
    """The character that is written here, and where the next one is."""
    first = int(page[at])
    if first < 0xC0 and (first != _AMPERSAND or as_it_is):
        return first, at + 1
    if first == _AMPERSAND:
        for entity, point in _ENTITIES:
            if _holds(page, at + 1, entity):
                return point, at + 1 + len(entity)
        return first, at + 1
    if first < 0xE0:
        return (first & 0x1F) << 6 | (page[at + 1] & 0x3F), at + 2
    if first < 0xF0:
        return (first & 0xF) << 12 | (page[at + 1] & 0x3F) << 6 | (page[at + 2] & 0x3F), at + 3
    return (first & 7) << 18 | (page[at + 1] & 0x3F) << 12 | (page[at + 2] & 0x3F) << 6 | (page[at + 3] & 0x3F), at + 4


@compiled
def is_space(point: int) -> bool:
    """Whether Python's `str.split` parts text at a character."""
    if point < 0x80:
        return point == 32 or 9 <= point <= 13 or 28 <= point <= 31
    return (
        point == 0x85
        or point == 0xA0
        or point == 0x1680
        or 0x2000 <= point <= 0x200A
        or point == 0x2028
        or point == 0x2029
        or point == 0x202F
        or point == 0x205F
        or point == 0x3000
    )


@compiled
def _is_blank(page: Bytes, at: int, stop: int, as_it_is: int) -> bool:
    while at < stop and (page[at] == _SPACE or page[at] == _NEWLINE or page[at] == _TAB):
        at += 1
    while at < stop:
        point, at = _read_point(page, at, as_it_is)
        if not is_space(point):
            return False
    return True


# The second pass


@compiled
def write_lines(
    page: Bytes, events: Table, containers: Table, kinds: Kinds, max_characters: int
) -> tuple[Table, Table, Points, int, int]:
    """The lines of a page's blocks, out of its events; of a block, `max_characters` are kept.

    -> of each container the number of the first line that is not before it; of each line (lines, 2) its container and
    its characters inside links; the lines, empty ones among them; where the first heading begins and ends in them.
    """
    starts = np.zeros(len(containers), np.int64)
    lines, num_lines = np.empty((64, 2), np.int64), 0
    written, num_written = np.empty(len(page) + 1, np.uint32), 0
    heading = heading_stop = 0
    first = stop = 0
    while first < len(events):
        what = events[first, 0]
        stop = first + 1
        if what == _BEGINS and events[first, 1] != _GONE:
            starts[events[first, 1]] = num_lines
        elif what >= 0 and not _is_blank(page, events[first, 1], events[first, 2], what & _AS_IT_IS):
            container = what >> _BITS
            kind = containers[container, 1]
            while stop < len(events) and (events[stop, 0] < _BEGINS or events[stop, 0] >> _BITS == container):
                stop += 1
            block = num_written
            num_written, characters, linked = _write_block(
                page, events[first:stop], kinds.is_preformatted[kind], max_characters, written, num_written
            )
            if kind == kinds.heading and heading == heading_stop:
                heading, heading_stop = block, num_written - 1
            share = linked / characters if characters else 0.0
            size = 0
            for place in range(block, num_written):
                if written[place]:
                    size += 1
                elif size:
                    if num_lines == len(lines):
                        lines = _longer(lines)
                    lines[num_lines, 0], lines[num_lines, 1] = container, min(size, int(share * size + 0.5))
                    num_lines += 1
                    size = 0
        first = stop
    return starts, lines[:num_lines], written[:num_written], heading, heading_stop


@compiled
def _write_block(
    page: Bytes, events: Table, keeps_space: bool, max_characters: int, written: Points, num_written: int
) -> tuple[int, int, int]:
    """Writes the lines of a block, a NUL behind each.

    -> how many code points there are now; the block's characters, before its spaces are put in order; those in links.
    """
    characters = linked = 0
    line = solid = num_written
    spaced = False
    for number in range(len(events)):
        what, at, stop = events[number, 0], events[number, 1], events[number, 2]
        while True:
            point = -what
            if what >= 0:
                point, at = _read_point(page, at, what & _AS_IT_IS)
                linked += what & _IN_LINK
            if characters < max_characters and not _is_invisible(point):
                characters += 1
                if keeps_space:
                    if point != _NEWLINE or num_written > line:
                        written[num_written] = point
                        num_written += 1
                    if not is_space(point):
                        solid = num_written
                elif point == _NEWLINE and (what < 0 or what & _IN_PREFORMATTED):
                    written[num_written] = 0
                    num_written += 1
                    line, spaced = num_written, False
                elif is_space(point):
                    spaced = num_written > line
                else:
                    if spaced:
                        written[num_written] = _SPACE
                        num_written += 1
                    written[num_written] = point
                    num_written += 1
                    spaced = False
            if at >= stop:
                break
    num_written = solid if keeps_space else num_written
    written[num_written] = 0
    return num_written + 1, characters, linked


@compiled
def _is_invisible(point: int) -> bool:
    return point in (0, 0xAD, 0x200B, 0x2060, 0xFEFF)


@compiled
def places_of(parents: Table, kinds: Table, groups: Table) -> Table:
    """A number for each container, the same for those whose kinds and groups, and those of all around them, are equal.

    (containers,) each. Numbers go by first occurrence.
    """
    slots = 16
    while slots < 2 * len(parents):
        slots *= 2
    table = np.full(slots, -1, np.int64)  # a hash table of containers
    places = np.empty(len(parents), np.int64)
    num_places = 0
    for container in range(len(parents)):
        around = places[parents[container]] if container else -1
        key = (around * 64 + kinds[container]) * np.int64(0x9E3779B97F4A7C15 - (1 << 64)) ^ groups[container]
        slot = (key * np.int64(0x9E3779B97F4A7C15 - (1 << 64)) >> 32) & (slots - 1)
        while True:
            other = table[slot]
            if other < 0:
                table[slot] = container
                places[container] = num_places
                num_places += 1
                break
            if (
                kinds[other] == kinds[container]
                and groups[other] == groups[container]
                and (places[parents[other]] if other else -1) == around
            ):
                places[container] = places[other]
                break
            slot = (slot + 1) & (slots - 1)
    return places
