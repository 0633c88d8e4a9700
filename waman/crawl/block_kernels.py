"""The arithmetic of judging blocks, compiled: features, trees, and what the neighbours' scores tell."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from waman.compiled import compiled

Column = NDArray[Any]

LEVELS = 4
"""Containers around a block whose contents are measured."""
CONTEXT_LEVELS = 5
_STEPS = 8
_LONG = 80
"""Characters from which a block is taken for a paragraph."""
_SHORT = 25
"""Characters below which a block says little about where the text is."""


@compiled
def stops_of(parents: Column, starts: Column, containers: Column) -> Column:
    """Of each container: number of the first block after it: (containers,)."""
    stops = starts.copy()
    for block in range(len(containers)):
        stops[containers[block]] = block + 1
    for container in range(len(parents) - 1, 0, -1):
        parent = parents[container]
        if parent >= 0 and stops[container] > stops[parent]:
            stops[parent] = stops[container]
    return stops


@compiled
def count_characters(codes: Column, classes: Column, bounds: Column, counts: Column) -> None:
    """Counts the characters of each class (1, 2, ...) in each block into counts: (blocks, classes)."""
    for block in range(len(bounds) - 1):
        for place in range(bounds[block], bounds[block + 1]):
            code = codes[place]
            found = classes[code] if code < len(classes) else 0
            if found:
                counts[block, found - 1] += 1


@compiled
def inherit(
    parents: Column,
    kinds: Column,
    groups: Column,
    starts: Column,
    stops: Column,
    sums: Column,
    kind_bits: Column,
    told_of_wide: int,
    wide_share: float,
    comments: int,
    is_box: Column,
    places: Column,
) -> Column:
    """What holds of the containers around each container.

    -> (containers, 5): elements around (bits), groups around (bits) but those of frames of the page, nearest groups,
    boxes like the one around beside it, containers of comments around.
    """
    count = len(parents)
    out = np.zeros((count, 5), np.int64)
    order = np.argsort(parents * (count + 1) + places, kind="mergesort")
    beside = np.zeros(count, np.int64)
    first = 0
    for at in range(1, count + 1):
        if at == count or parents[order[at]] != parents[order[first]] or places[order[at]] != places[order[first]]:
            filled = 0
            for one in range(first, at):
                filled += 1 if stops[order[one]] > starts[order[one]] else 0
            for one in range(first, at):
                beside[order[one]] = filled
            first = at
    total = max(1, sums[-1])
    for container in range(count):
        parent = parents[container]
        own = groups[container]
        wide = sums[stops[container]] - sums[starts[container]] > wide_share * total
        narrow = own & told_of_wide if wide else own
        boxes = beside[container] if is_box[kinds[container]] else 1
        nested = 1 if own & comments else 0
        out[container, 0] = kind_bits[kinds[container]]
        out[container, 1] = narrow
        out[container, 2] = own
        if parent >= 0:
            out[container, 0] |= out[parent, 0]
            out[container, 1] |= out[parent, 1]
            if own == 0:
                out[container, 2] = out[parent, 2]
            boxes = max(boxes, out[parent, 3])
            nested += out[parent, 4]
        out[container, 3] = boxes
        out[container, 4] = nested
    return out


@compiled
def put_bits(bits: Column, count: int, matrix: Column, column: int) -> None:
    """Writes the lowest bits of a number for each block, a column each."""
    for block in range(len(bits)):
        for number in range(count):
            matrix[block, column + number] = (bits[block] >> number) & 1


@compiled
def put_neighbours(lengths: Column, density: Column, stops: Column, matrix: Column, column: int) -> None:
    """Length, share of links and ends of sentences two before to two after; good text in a window: 16 columns."""
    count = len(lengths)
    good = np.zeros(count + 1)
    for block in range(count):
        counts = lengths[block] >= _LONG and density[block] < 0.3
        good[block + 1] = good[block] + (min(lengths[block], 1000) if counts else 0)
    for block in range(count):
        at = column
        for offset in (-2, -1, 1, 2):
            other = block + offset
            there = 0 <= other < count
            matrix[block, at] = np.log1p(lengths[other]) if there else 0.0
            matrix[block, at + 4] = density[other] if there else 1.0
            matrix[block, at + 8] = min(stops[other], 5) if there else 0.0
            at += 1
        at = column + 12
        for width in (5, 15):
            matrix[block, at] = np.log1p(good[block] - good[max(block - width, 0)])
            matrix[block, at + 1] = np.log1p(good[min(block + 1 + width, count)] - good[block + 1])
            at += 2


@compiled
def put_stretches(
    containers: Column,
    parents: Column,
    starts: Column,
    ends: Column,
    lengths: Column,
    links: Column,
    stops: Column,
    matrix: Column,
    column: int,
) -> None:
    """What the containers around each block hold: 6 columns for each of LEVELS."""
    count = len(containers)
    sums = np.zeros((count + 1, 4))
    for block in range(count):
        share = links[block] / max(lengths[block], 1)
        good = min(lengths[block], 1000) * (1 - share) if share < 0.3 and lengths[block] >= _SHORT else 0.0
        sums[block + 1, 0] = sums[block, 0] + lengths[block]
        sums[block + 1, 1] = sums[block, 1] + links[block]
        sums[block + 1, 2] = sums[block, 2] + min(stops[block], 20)
        sums[block + 1, 3] = sums[block, 3] + good
    total = max(1.0, sums[count, 0])
    all_good = max(1.0, sums[count, 3])
    for block in range(count):
        container = containers[block]
        for level in range(LEVELS):
            first, last = starts[container], ends[container]
            characters = sums[last, 0] - sums[first, 0]
            at = column + 6 * level
            matrix[block, at] = np.log1p(characters)
            matrix[block, at + 1] = characters / total
            matrix[block, at + 2] = (sums[last, 1] - sums[first, 1]) / max(characters, 1.0)
            matrix[block, at + 3] = (sums[last, 3] - sums[first, 3]) / all_good
            matrix[block, at + 4] = np.log1p(characters / max(last - first, 1))
            matrix[block, at + 5] = (sums[last, 2] - sums[first, 2]) * 100 / max(characters, 1.0)
            container = _wider(container, parents, starts, ends)


@compiled
def _wider(container: int, parents: Column, starts: Column, ends: Column) -> int:
    """The nearest container around one that holds more blocks; the outermost, where none does."""
    blocks = ends[container] - starts[container]
    while parents[container] >= 0 and ends[container] - starts[container] == blocks:
        container = parents[container]
    return container


@compiled
def put_best(
    containers: Column,
    parents: Column,
    kinds: Column,
    starts: Column,
    ends: Column,
    lengths: Column,
    links: Column,
    stops: Column,
    is_inner: Column,
    matrix: Column,
    column: int,
) -> None:
    """How each block lies to the container likeliest to hold the text, by paragraphs directly in it: 6 columns."""
    count = len(containers)
    scores = np.zeros(len(parents))
    good = np.zeros(count + 1)
    for block in range(count):
        share = links[block] / max(lengths[block], 1)
        counts = share < 0.3 and lengths[block] >= _SHORT
        good[block + 1] = good[block] + (min(lengths[block], 1000) * (1 - share) if counts else 0.0)
        if lengths[block] < _SHORT or share > 0.5:
            continue
        worth = (1 + min(lengths[block] / 100, 3.0) + min(stops[block], 5)) * (1 - share) ** 2
        container = containers[block]
        if is_inner[kinds[container]]:
            container = max(parents[container], 0)
        scores[container] += worth
        scores[max(parents[container], 0)] += worth / 2
    best = 0
    for container in range(len(parents)):
        if scores[container] > scores[best]:
            best = container
    held = (good[ends[best]] - good[starts[best]]) / max(1.0, good[count])
    for block in range(count):
        matrix[block, column] = 1.0 if block < starts[best] else 0.0
        matrix[block, column + 1] = 1.0 if block >= ends[best] else 0.0
        matrix[block, column + 2] = held
        matrix[block, column + 3] = np.log1p(max(starts[best] - block, 0))
        matrix[block, column + 4] = np.log1p(max(block - ends[best] + 1, 0))
        matrix[block, column + 5] = _steps(block, best, parents, starts, ends)


@compiled
def _steps(block: int, container: int, parents: Column, starts: Column, ends: Column) -> int:
    """Containers to climb from one until it holds a block; _STEPS at most."""
    steps = 0
    while steps < _STEPS and not starts[container] <= block < ends[container]:
        container = max(parents[container], 0)
        steps += 1
    return steps


@compiled
def sections_of(
    containers: Column, parents: Column, kinds: Column, ends: Column, first_heading: int, last_heading: int
) -> Column:
    """The block that is the heading each block stands under, or is; the number of blocks where none is: (blocks,).

    A heading holds to the end of the container it lies in, or to one of its own order or a higher one.
    """
    count = len(containers)
    sections = np.full(count, count)
    headings = np.empty(last_heading - first_heading + 1, np.int64)
    size = 0
    for block in range(count):
        while size and block >= ends[max(parents[containers[headings[size - 1]]], 0)]:
            size -= 1
        kind = kinds[containers[block]]
        if first_heading <= kind <= last_heading:
            while size and kinds[containers[headings[size - 1]]] >= kind:
                size -= 1
            headings[size] = block
            size += 1
        if size:
            sections[block] = headings[size - 1]
    return sections


@compiled
def families_of(sections: Column, containers: Column, places: Column) -> Column:
    """A number that the blocks share whose headings stand at places alike; 0 for those under none: (blocks,)."""
    families = np.zeros(len(sections), np.int64)
    for block in range(len(sections)):
        if sections[block] < len(sections):
            families[block] = places[containers[sections[block]]] + 1
    return families


@compiled
def put_sections(
    sections: Column, families: Column, lengths: Column, links: Column, matrix: Column, column: int
) -> None:
    """What each block's section, and those whose headings stand at places alike, hold: 6 columns."""
    count = len(sections)
    own = np.zeros((count + 1, 2))
    alike = np.zeros((_most(families) + 1, 3))
    total = 1.0
    for block in range(count):
        section, family = sections[block], families[block]
        own[section, 0] += lengths[block]
        own[section, 1] += links[block]
        alike[family, 0] += lengths[block]
        alike[family, 1] += links[block]
        alike[family, 2] += 1 if section == block else 0
        total += lengths[block]
    for block in range(count):
        section, family = sections[block], families[block]
        others = alike[family, 0] - own[section, 0]
        matrix[block, column] = min(alike[family, 2], 10.0)
        matrix[block, column + 1] = alike[family, 0] / total
        matrix[block, column + 2] = (alike[family, 1] - own[section, 1] + 10) / (others + 20)
        matrix[block, column + 3] = np.log1p(others / max(1.0, alike[family, 2] - 1))
        matrix[block, column + 4] = own[section, 1] / max(1.0, own[section, 0])
        matrix[block, column + 5] = np.log1p(own[section, 0])


@compiled
def _most(numbers: Column) -> int:
    most = 0
    for number in numbers:
        most = max(most, number)
    return most


@compiled
def put_alike(places: Column, containers: Column, lengths: Column, links: Column, matrix: Column, column: int) -> None:
    """What the blocks at places like this one's have in common: 4 columns."""
    size = 0
    for place in places:
        size = max(size, place + 1)
    sums = np.zeros((size, 3))
    total = 0.0
    for block in range(len(containers)):
        place = places[containers[block]]
        sums[place, 0] += 1
        sums[place, 1] += lengths[block]
        sums[place, 2] += links[block]
        total += lengths[block]
    for block in range(len(containers)):
        place = places[containers[block]]
        matrix[block, column] = np.log1p(sums[place, 0])
        matrix[block, column + 1] = sums[place, 1] / max(1.0, total)
        matrix[block, column + 2] = np.log1p(sums[place, 1] / sums[place, 0])
        matrix[block, column + 3] = sums[place, 2] / max(1.0, sums[place, 1])


@compiled
def score_trees(matrix: Column, features: Column, thresholds: Column, leaves: Column, scores: Column) -> None:
    """Adds to the scores what each tree's leaf adds. matrix: (blocks, features), scores: (blocks,)."""
    num_trees, depth = features.shape
    columns = np.ascontiguousarray(matrix.T)  # each question is put to many blocks at once
    totals = np.zeros(len(matrix))
    places = np.empty(len(matrix), np.int64)
    for tree in range(num_trees):
        places[:] = 0
        for level in range(depth):
            column, threshold = columns[features[tree, level]], thresholds[tree, level]
            for block in range(len(places)):
                places[block] = 2 * places[block] + (column[block] > threshold)
        adds = leaves[tree]
        for block in range(len(places)):
            totals[block] += adds[places[block]]
    scores += totals


@compiled
def enclosing(parents: Column, kinds: Column, containers: Column, kind: int, end: int, levels: int) -> Column:
    """The nearest container of a kind around each, looked for up to an element that ends the search; -1 for none."""
    found = np.full(len(containers), -1, np.int64)
    for number in range(len(containers)):
        container = containers[number]
        for _ in range(levels):
            if container < 0 or kinds[container] == end:
                break
            if kinds[container] == kind:
                found[number] = container
                break
            container = parents[container]
    return found


@compiled
def put_context(
    scores: Column,
    lengths: Column,
    containers: Column,
    parents: Column,
    starts: Column,
    ends: Column,
    places: Column,
    sections: Column,
    families: Column,
    matrix: Column,
    column: int,
) -> None:
    """What the first scores of a page tell about each block by those around it: 40 columns."""
    count = len(scores)
    weights = np.empty(count)
    likely = np.empty(count)
    held = np.zeros(count + 1)
    room = np.zeros(count + 1)
    highest = -6.0
    for block in range(count):
        score = min(max(scores[block], -6.0), 6.0)
        highest = max(highest, score)
        likely[block] = 1 / (1 + np.exp(-score))
        weights[block] = min(lengths[block], 1500) + 5.0
        held[block + 1] = held[block] + likely[block] * weights[block]
        room[block + 1] = room[block] + weights[block]
        matrix[block, column] = score
    total = max(1.0, held[count])
    size = 0
    for place in places:
        size = max(size, place + 1)
    alike = np.zeros((size, 2))
    for block in range(count):
        alike[places[containers[block]], 0] += likely[block] * weights[block]
        alike[places[containers[block]], 1] += weights[block]
    for block in range(count):
        own = likely[block] * weights[block]
        at = column + 1
        for offset in (-3, -2, -1, 1, 2, 3):
            other = block + offset
            matrix[block, at] = matrix[other, column] if 0 <= other < count else -6.0
            at += 1
        for width in (3, 8):
            first, last = max(block - width, 0), min(block + 1 + width, count)
            matrix[block, at] = (held[block] - held[first]) / max(room[block] - room[first], 1.0)
            matrix[block, at + 1] = (held[last] - held[block + 1]) / max(room[last] - room[block + 1], 1.0)
            at += 2
        matrix[block, at] = held[block] / total
        matrix[block, at + 1] = (total - held[block + 1]) / total
        at += 2
        container = containers[block]
        for _ in range(CONTEXT_LEVELS):
            first, last = starts[container], ends[container]
            others = room[last] - room[first] - weights[block] + 20
            matrix[block, at] = (held[last] - held[first] - own + 10) / max(others, 1.0)
            matrix[block, at + 1] = (held[last] - held[first]) / total
            at += 2
            container = _wider(container, parents, starts, ends)
        place = places[containers[block]]
        matrix[block, at] = (alike[place, 0] - own + 10) / (alike[place, 1] - weights[block] + 20)
        matrix[block, at + 1] = highest
        matrix[block, at + 2] = np.log1p(total)
        matrix[block, at + 3] = own / total
    at = column + 27
    for bar in (0.35, 0.6):
        _put_run(likely, weights, bar, parents, starts, ends, matrix, at)
        at += 5
    _put_likely_sections(likely, weights, sections, families, matrix, at)


@compiled
def _put_run(
    likely: Column,
    weights: Column,
    bar: float,
    parents: Column,
    starts: Column,
    ends: Column,
    matrix: Column,
    column: int,
) -> None:
    """How each block lies to the container, and to the run, that holds most over what a bar asks: 5 columns."""
    count = len(likely)
    sums = np.zeros(count + 1)
    run = most = 0.0
    begin = first = last = 0
    for block in range(count):
        worth = (likely[block] - bar) * weights[block]
        sums[block + 1] = sums[block] + worth
        if run <= 0:
            run = 0.0
            begin = block
        run += worth
        if run > most:
            most = run
            first, last = begin, block + 1
    best = len(parents) - 1
    for container in range(len(parents) - 1, -1, -1):
        if sums[ends[container]] - sums[starts[container]] > sums[ends[best]] - sums[starts[best]]:
            best = container
    for block in range(count):
        matrix[block, column] = _steps(block, best, parents, starts, ends)
        matrix[block, column + 1] = np.log1p(max(starts[best] - block, 0))
        matrix[block, column + 2] = np.log1p(max(block - ends[best] + 1, 0))
        matrix[block, column + 3] = 1.0 if first <= block < last else 0.0
        matrix[block, column + 4] = np.log1p(max(first - block, 0) + max(block - last + 1, 0))


@compiled
def _put_likely_sections(
    likely: Column, weights: Column, sections: Column, families: Column, matrix: Column, column: int
) -> None:
    """How likely the rest of each block's section is, and the sections whose headings stand at places alike: 3 columns.

    What is known of neither is even odds.
    """
    count = len(likely)
    own = np.zeros((count + 1, 2))
    alike = np.zeros((_most(families) + 1, 2))
    total = 1.0
    for block in range(count):
        held = likely[block] * weights[block]
        own[sections[block], 0] += held
        own[sections[block], 1] += weights[block]
        alike[families[block], 0] += held
        alike[families[block], 1] += weights[block]
        total += held
    for block in range(count):
        section, family = sections[block], families[block]
        rest = own[section, 0] - likely[block] * weights[block]
        others = alike[family, 0] - own[section, 0]
        matrix[block, column] = (rest + 10) / (own[section, 1] - weights[block] + 20)
        matrix[block, column + 1] = (others + 10) / (alike[family, 1] - own[section, 1] + 20)
        matrix[block, column + 2] = others / total
