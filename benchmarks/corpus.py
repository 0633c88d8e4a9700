"""From web archive to filtered text, beside datatrove: `python -m benchmarks.corpus ARCHIVE.warc.gz`, some 8 minutes.

datatrove runs its FineWeb recipe (`benchmarks/peers/fineweb.py`, by the Python of .venv-peers), waman its doors
`extract` and `refine` with the preset of the same name, deduplication off on both sides. Each is a process on one core
that makes pass after pass in turn with the other: the first is cold (imports, compiled kernels loaded), the others are
steady. Prints the ratio of seconds, where the time goes, and what each stage keeps; with --growth also ours at 1 to 8
times the input.
"""

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.pairs import Passes, ratio_of
from waman.artifact import Artifact, open_input
from waman.corpus.recipe import RefineRecipe
from waman.corpus.refine import refine
from waman.crawl.extract import extract
from waman.crawl.recipe import ExtractRecipe
from waman.dataflow import Inline
from waman.settings import Off

PEERS_PYTHON = Path(".venv-peers/bin/python")
GROWTH = (1, 2, 4, 8)
RECIPE = RefineRecipe(presets={"web": "fineweb"}, exact_duplicates=Off(), near_duplicates=Off(), recurring_lines=Off())


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path)
    parser.add_argument("--peers", type=Path, default=PEERS_PYTHON, help="the Python that has datatrove")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--growth", action="store_true", help="measure ours at 1, 2, 4 and 8 times the input instead")
    parser.add_argument("--passes", action="store_true", help="be the process that makes our passes")
    arguments = parser.parse_args()
    if arguments.passes:
        make_passes([arguments.archive])
    elif arguments.growth:
        print_growth(arguments.archive)
    else:
        compare(arguments.archive, peers=arguments.peers, pairs=arguments.pairs)


def compare(archive: Path, *, peers: Path, pairs: int) -> None:
    """Prints cold and steady ratios, seconds by stage, and what is kept."""
    one_core = ["taskset", "--cpu-list", "0"]
    theirs_command = [*one_core, str(peers), "benchmarks/peers/fineweb.py", str(archive)]
    ours_command = [*one_core, sys.executable, "-m", "benchmarks.corpus", str(archive), "--passes"]
    with Passes(theirs_command) as theirs, Passes(ours_command) as ours:
        cold = theirs.run(), ours.run()
        steady = [(theirs.run(), ours.run()) for _ in range(pairs)]
    print(f"cold: {cold[0]['seconds']:.1f} s against {cold[1]['seconds']:.1f} s")
    print("steady:", ratio_of([their["seconds"] for their, _ in steady], [our["seconds"] for _, our in steady]))
    for name, passes in zip(("datatrove", "waman"), zip(*steady, strict=True), strict=True):
        print(f"\n{name}: {statistics.median(one['seconds'] for one in passes):.2f} s a pass")
        for number, stage in enumerate(passes[0]["stages"]):
            seconds = statistics.median(one["stages"][number]["seconds"] for one in passes)
            print(f"  {stage['name']}: {seconds:.2f} s, {stage['total']} in, {stage['forwarded']} out", end="")
            print("".join(f", {reason} {count:.0f}" for reason, count in sorted(stage["dropped"].items())))


def make_passes(archives: Sequence[Path]) -> None:
    """Makes a pass for each line read; answers with seconds and stages as JSON."""
    for _ in sys.stdin:
        begun, computed = time.perf_counter(), time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            stages = _pass([open_input(path) for path in archives], Path(folder))
            done = {"seconds": time.perf_counter() - begun, "stages": stages, "peak_bytes": _peak_bytes()}
            done["processor_seconds"] = time.process_time() - computed
        print(json.dumps(done), flush=True)


def print_growth(archive: Path) -> None:
    """Prints seconds and peak memory by the size of the input: the archive under as many names."""
    print("| times | pages | seconds | processor ms a page | peak memory |\n|---|---|---|---|---|")
    for times in GROWTH:
        with tempfile.TemporaryDirectory() as folder:
            print(_grown(archive, times, Path(folder)), flush=True)


def _grown(archive: Path, times: int, folder: Path) -> str:
    longer = folder / archive.name
    with longer.open("wb") as file:
        for _ in range(times):  # the members of a compressed WARC file may follow one another without end
            file.write(archive.read_bytes())
    with Passes([sys.executable, "-m", "benchmarks.corpus", str(longer), "--passes"]) as ours:
        ours.run()
        found = ours.run()
    pages, seconds = found["stages"][0]["forwarded"], found["seconds"]
    each = 1000 * found["processor_seconds"] / pages
    return f"| {times} | {pages} | {seconds:.1f} | {each:.1f} | {found['peak_bytes'] / 1e6:.0f} MB |"


def _pass(archives: Sequence[Artifact], folder: Path) -> list[dict[str, Any]]:
    begun = time.perf_counter()
    documents = extract(ExtractRecipe(), archives=archives, out=folder / "documents", executor=Inline())
    extracted = time.perf_counter()
    corpus = refine(RECIPE, documents=[documents], out=folder / "corpus", executor=Inline())
    refined = time.perf_counter()
    found, kept = documents.counts, corpus.counts
    dropped: Counter[str] = Counter()
    for stage in kept["stages"]:
        for row in stage["sources"].values():
            dropped.update(row["dropped"])
    return [
        _stage("extract", extracted - begun, found["records"], found["documents"], found["dropped"]),
        _stage("refine", refined - extracted, kept["documents_in"], kept["documents"], dropped),
    ]


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in units of 1024 bytes


def _stage(name: str, seconds: float, entered: int, left: int, dropped: dict[str, int]) -> dict[str, Any]:
    return {"name": name, "seconds": seconds, "total": entered, "forwarded": left, "dropped": dropped}


if __name__ == "__main__":
    main()
