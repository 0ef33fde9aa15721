"""Bad input: many bytes that are nearly right, into everything that takes bytes from a peer.

    python benchmarks/fuzz/fuzz_wire.py [--inputs N] [--guided N] [--seed N] [--smoke] [--folder DIR]
    python benchmarks/fuzz/fuzz_wire.py --again FILE

First atheris, with coverage of ``processor.iso8583`` and ``processor.networks``, grows a corpus over all
targets (``--guided`` runs, in a process of its own). Then this program's own mutator makes ``--inputs`` more:
valid messages of every dialect with one thing wrong, and what atheris found. Exit code 1 if anything but a
PeerError came out, an input took more than 5 ms, fewer than 30 in 100 inputs reached the field decoder, or
memory grew. ``docs/fuzzing.md`` says what is fed and what is counted.
"""

import argparse
import gc
import json
import platform
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from material import Material, materials
from mutator import Bytes, Messages
from targets import Counts, Target, simple_targets
from targets import Messages as MessageTarget
from watch import LIMIT_MS, Watch, resident_mb

HERE = Path(__file__).parent
FOLDER = HERE.parents[1] / "var" / "fuzz"
MESSAGES_SHARE = 0.74
REACHED_SHARE = 0.30
GROWTH_MB = 8.0
REPORTS = 20
WARM = 1  # the reading of memory, of so many, after which it must be flat: every cache has filled by then

Source = Callable[[], bytes]


class Plan:
    """Every target with its source of inputs: messages ``MESSAGES_SHARE`` of the time, the rest by kind."""

    def __init__(self, seed: int, corpus: dict[str, list[bytes]]) -> None:
        self._rng = rng = random.Random(seed)
        self.counts = Counts()
        self.materials: dict[str, Material] = materials(seed)
        self.messages: list[tuple[Target, Source]] = []
        for material in self.materials.values():
            target = MessageTarget(material, self.counts)
            self.messages.append((target, Messages(material, rng, corpus.get(target.name, [])).next))
        self.others: dict[str, list[tuple[Target, Source]]] = {}
        for target_, seeds in simple_targets(self.materials):
            source = Bytes([*seeds, *corpus.get(target_.name, [])], rng).next
            self.others.setdefault(target_.name.split()[0], []).append((target_, source))

    def pick(self) -> tuple[Target, Source]:
        """Which target is next."""
        among = self.messages
        if self._rng.random() >= MESSAGES_SHARE:
            groups = [*self.others.values()]
            among = groups[int(self._rng.random() * len(groups))]
        return among[int(self._rng.random() * len(among))]


def run(plan: Plan, inputs: int, watch: Watch) -> list[float]:
    """Feed so many inputs; the resident memory after each twentieth of them, in MB."""
    gc.collect()
    gc.freeze()
    memory, each = [], max(inputs // REPORTS, 1)
    began_s = time.perf_counter()
    for count in range(1, inputs + 1):
        target, source = plan.pick()
        watch.feed(target, source())
        if count % each == 0:
            memory.append(resident_mb())
            rate = count / (time.perf_counter() - began_s)
            print(
                f"  {count:>10,}  {rate:>7,.0f}/s  {memory[-1]:.1f} MB  {len(watch.findings)} findings",
                flush=True,
            )
    return memory


def guided(runs: int, seed: int, folder: Path) -> dict[str, object]:
    """Atheris in a process of its own; what it says of itself."""
    said = folder / "guided.json"
    said.unlink(missing_ok=True)
    command = [sys.executable, str(HERE / "guided.py"), str(folder), str(runs), str(seed)]
    with (folder / "guided.log").open("w") as log:
        code = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode
    result: dict[str, object] = json.loads(said.read_text()) if said.exists() else {"inputs": 0}
    return {**result, "exit": code}


def corpus_of(folder: Path) -> dict[str, list[bytes]]:
    """What atheris kept, by target."""
    names = json.loads((folder / "targets.json").read_text()) if (folder / "targets.json").exists() else []
    found: dict[str, list[bytes]] = {}
    for path in sorted((folder / "corpus").glob("*")) if names else []:
        data = path.read_bytes()
        if data:
            found.setdefault(names[data[0] % len(names)], []).append(data[1:])
    return found


def problems_of(watch: Watch, memory: list[float], inputs: int, *, smoke: bool) -> list[str]:
    """Why the run is no success; a short one says nothing of time and memory."""
    found = [f"{key}: {said}" for key, said in watch.findings.items()]
    if watch.reached < REACHED_SHARE * inputs:
        found.append(f"only {watch.reached:,} of {inputs:,} reached the field decoder")
    if smoke:
        return found
    found += [f"{took:.1f} ms: {name}" for took, name, _ in watch.outliers]
    if max(memory) - memory[WARM] > GROWTH_MB:
        found.append(f"memory grew from {memory[WARM]:.1f} to {max(memory):.1f} MB")
    return found


def report(plan: Plan, watch: Watch, memory: list[float], start_mb: float) -> None:
    """The figures of this process's own stage."""
    inputs, counts = watch.inputs, plan.counts
    groups: dict[str, int] = {}
    for name, count in watch.fed.items():
        groups[name.split()[0]] = groups.get(name.split()[0], 0) + count
    print(f"inputs      {inputs:,}: " + ", ".join(f"{name} {count:,}" for name, count in groups.items()))
    print(f"reached     {watch.reached:,} the field decoder, {100 * watch.reached / inputs:.1f} %")
    print("messages    " + ", ".join(f"{name} {count:,}" for name, count in counts.outcomes.most_common()))
    print(f"compared    {counts.compared:,} compiled and interpreted, {counts.oracle:,} with pyiso8583")
    print(f"unanswered  {sum(counts.unanswerable.values()):,} whose answer cannot be written")
    for text, count in counts.unanswerable.most_common(12):
        print(f"            {count:>8,} {text}")
    print(f"time        {watch.spread_in_words()}")
    print(
        f"slowest     {watch.slowest_ms[0]:.2f} ms in {watch.slowest_ms[1]}; {watch.over_at_first:,} over"
        f" {LIMIT_MS:.0f} ms at first, {len(watch.outliers):,} again"
    )
    print(
        f"memory      {start_mb:.1f} MB before, {memory[WARM]:.1f} after a tenth,"
        f" {memory[len(memory) // 2]:.1f} in the middle, {memory[-1]:.1f} at the end"
    )


def again(plan: Plan, path: Path) -> int:
    """Feed one kept input once more, thrice, and say how long it took; what escapes, escapes."""
    name, *_, last = path.read_text().splitlines()
    pairs = [*plan.messages, *(pair for group in plan.others.values() for pair in group)]
    target = next(target for target, _ in pairs if target.name == name)
    for _ in range(3):
        fresh, data = target.anew(), bytes.fromhex(last)
        began_ns = time.thread_time_ns()
        fresh.feed(data)
        print(f"{name}: {len(data)} bytes, {(time.thread_time_ns() - began_ns) / 1e6:.2f} ms")
        fresh.check(data)
    return 0


def machine_line() -> str:
    """Date, processor, system, Python."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{time.strftime('%Y-%m-%d')}, {names[0] if names else platform.machine()}, {system}"


def main() -> int:
    """Run both stages and print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=5_000_000)
    parser.add_argument("--guided", type=int, default=500_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--smoke", action="store_true", help="judge neither time nor memory")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument(
        "--again", type=Path, metavar="FILE", help="feed one input that was kept, and no other"
    )
    given = parser.parse_args()
    if given.again:
        return again(Plan(given.seed, {}), given.again)
    folder: Path = given.folder
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{machine_line()}; seed {given.seed}")
    problems: list[str] = []
    if given.guided:
        said = guided(given.guided, given.seed, folder)
        print("guided      " + ", ".join(f"{name} {value}" for name, value in said.items()))
        if said["exit"] or said.get("findings"):
            problems.append(f"the guided stage: see {folder / 'guided.log'}")
    began_s, cpu_s = time.perf_counter(), time.process_time()
    plan = Plan(given.seed, corpus_of(folder) if given.guided else {})
    watch, start_mb = Watch(folder / "findings"), resident_mb()
    memory = run(plan, given.inputs, watch)
    took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    print(f"ran         {took_s:,.0f} s, {cpu_s:,.0f} s of CPU time")
    report(plan, watch, memory, start_mb)
    problems += problems_of(watch, memory, given.inputs, smoke=given.smoke)
    print("problems    " + ("\n            ".join(problems) if problems else "none"))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
