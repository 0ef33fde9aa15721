"""The coverage-guided stage: atheris over every target, the first byte of an input choosing which.

    python benchmarks/fuzz/guided.py FOLDER RUNS SEED

Its corpus stays in FOLDER/corpus, its figures in FOLDER/guided.json; ``fuzz_wire.py`` starts it.
"""

import json
import random
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=["processor.iso8583", "processor.networks", "processor.links.machine"]
):
    from fuzz_wire import Plan
    from watch import Watch, resident_mb

SEEDS_EACH = 12


def main() -> None:
    """Never returns: atheris ends the process."""
    folder, runs, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    plan, watch = Plan(seed, {}), Watch(folder / "guided-findings")
    pairs = [*plan.messages, *(pair for group in plan.others.values() for pair in group)]
    targets, rng = [target for target, _ in pairs], random.Random(seed)
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    (folder / "targets.json").write_text(json.dumps([target.name for target in targets]))
    for index, (_, source) in enumerate(pairs):
        for number in range(SEEDS_EACH):
            (corpus / f"seed-{index}-{number}").write_bytes(bytes((index,)) + source())
    assert len(targets) <= 256, "one byte chooses the target"
    state = {"fed": 0, "memory_mb": resident_mb()}

    def feed(data: bytes) -> None:
        if data:
            watch.feed(targets[data[0] % len(targets)], data[1:])
        state["fed"] += 1
        if state["fed"] == 10_000:
            state["memory_mb"] = resident_mb()
        if state["fed"] % 5000 == 0 or state["fed"] == runs:
            _say(folder, watch, state["memory_mb"])

    atheris.Setup(
        [
            sys.argv[0],
            str(corpus),
            f"-atheris_runs={runs}",
            f"-seed={rng.randrange(1, 2**31)}",
            "-max_len=2048",
        ],
        feed,
    )
    atheris.Fuzz()


def _say(folder: Path, watch: Watch, start_mb: float) -> None:
    figures = {
        "inputs": watch.inputs,
        "reached": watch.reached,
        "findings": len(watch.findings),
        "slowest_ms": round(watch.slowest_ms[0], 2),
        "over_at_first": watch.over_at_first,
        "outliers": len(watch.outliers),
        "corpus": len(list((folder / "corpus").iterdir())),
        "memory_mb": f"{start_mb:.1f} to {resident_mb():.1f}",
    }
    (folder / "guided.json").write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
