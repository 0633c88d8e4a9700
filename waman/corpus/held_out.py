"""Which groups are kept from training, chosen so that a group's side hardly ever changes."""

import hashlib
from collections.abc import Iterable, Mapping

from waman.corpus.recipe import HeldOut
from waman.errors import InputError

Sizes = Mapping[str, Mapping[str, int]]
"""Group -> source -> bytes of text."""


def hold_out(sizes: Sizes, recipe: HeldOut) -> set[str]:
    """The groups to hold out, the same whatever the order of the documents.

    A group is held out where its draw, a hash of seed and group, lies under the share: so documents that are added move
    no group. Draws are only departed from where they would miss the share by more than half of it or double it, a
    source would have fewer than `min_groups` held-out groups, or one would have none left to train on. A group larger
    than the whole share is held out only if a source has nothing else to offer.
    Raises InputError where there is only one group.
    """
    if len(sizes) < 2:
        name = next(iter(sizes), "")
        raise InputError(
            f"cannot hold out: all documents are of one group ('{name}'), expected at least two. Give the documents "
            "finer groups (host, module, distribution), or set held_out.kind = 'off' and have nothing to measure on"
        )
    weight = {group: sum(by_source.values()) for group, by_source in sizes.items()}
    by_draw = sorted(sizes, key=lambda group: (draw(group, recipe.seed), group))
    groups_of = _groups_of_sources(sizes, by_draw)
    alone = {groups[0] for groups in groups_of.values() if len(groups) == 1}
    limit = recipe.share * sum(weight.values())
    small = [group for group in by_draw if weight[group] <= limit and group not in alone]
    chosen = _by_share(small, weight, recipe)
    for groups in groups_of.values():
        free = [group for group in groups if group not in alone]
        _hold_enough(chosen, free, weight, wanted=min(recipe.min_groups, len(groups) - 1), limit=limit)
    for groups in groups_of.values():
        if chosen.issuperset(groups):
            chosen.remove(groups[-1])
    if not chosen and recipe.min_groups:
        raise InputError(
            "cannot hold out: each group is the only one of a source, which would have nothing left to train on. Give "
            "the documents finer groups (host, module, distribution), or set held_out.kind = 'off'"
        )
    return chosen


def draw(group: str, seed: int) -> float:
    """A number from 0 to 1 for each group."""
    digest = hashlib.blake2b(f"{seed}\0{group}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64


def _groups_of_sources(sizes: Sizes, groups: Iterable[str]) -> dict[str, list[str]]:
    """The groups of each source, in the order of `groups`."""
    found: dict[str, list[str]] = {}
    for group in groups:
        for source in sizes[group]:
            found.setdefault(source, []).append(group)
    return {source: found[source] for source in sorted(found)}


def _by_share(groups: list[str], weight: Mapping[str, int], recipe: HeldOut) -> set[str]:
    """Those whose draw lies under the share; some more or some fewer, in order of draw, where that is far off."""
    target = recipe.share * sum(weight.values())
    chosen = [group for group in groups if draw(group, recipe.seed) < recipe.share]
    total = sum(weight[group] for group in chosen)
    for group in groups[len(chosen) :]:
        if total >= target / 2:
            break
        chosen.append(group)
        total += weight[group]
    while total > 2 * target:
        total -= weight[chosen.pop()]
    return set(chosen)


def _hold_enough(chosen: set[str], groups: list[str], weight: Mapping[str, int], *, wanted: int, limit: float) -> None:
    """Adds groups until `wanted` of them are held out: in their order, those larger than `limit` last, by size."""
    missing = wanted - sum(group in chosen for group in groups)
    left = [group for group in groups if group not in chosen]
    small = [group for group in left if weight[group] <= limit]
    large = sorted((group for group in left if weight[group] > limit), key=lambda group: weight[group])
    chosen.update([*small, *large][: max(missing, 0)])
