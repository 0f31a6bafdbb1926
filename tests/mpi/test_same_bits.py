"""The same bits for every number of ranks and threads, whatever runs on them."""

import itertools
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from support import program
from support.same_bits import EXPLORERS, MODELS, Configuration, as_words

LEVELS = {
    "model": list(MODELS),
    "explorer": list(EXPLORERS),
    "n_chains": [3, 7, 10],
    "driver": ["fused", "stepwise"],
    "precision": ["float32", "float64"],
}
PARTITIONS = [(1, 2), (2, 1), (2, 2), (3, 1), (3, 2), (4, 1), (4, 2)]  # processes, threads
SCHOOLS, MRNA, CURVE = MODELS
# Groups that each hold all models, numbers of chains, drivers and precisions.
GROUPS = [
    [
        Configuration(SCHOOLS, "HMC", 3, "fused", "float32", 7),
        Configuration(MRNA, "AutoMALA", 7, "stepwise", "float64"),
        Configuration(CURVE, "AutoHMC", 10, "fused", "float64"),
    ],
    [
        Configuration(MRNA, "AutoRWMH", 3, "fused", "float64", 8),
        Configuration(CURVE, "SliceSampler", 7, "stepwise", "float32"),
        Configuration(SCHOOLS, "MALA", 10, "stepwise", "float64"),
    ],
    [
        Configuration(CURVE, "Compose", 3, "stepwise", "float64"),
        Configuration(SCHOOLS, "Mix", 7, "fused", "float32"),
        Configuration(MRNA, "NUTS", 10, "fused", "float32"),
    ],
    [
        Configuration(CURVE, "own", 3, "stepwise", "float32", 7),
        Configuration(SCHOOLS, "HMC", 7, "fused", "float64", 7),
        Configuration(MRNA, "SliceSampler", 10, "stepwise", "float32"),
    ],
]
DESIGN = [
    (partition, configuration)
    for partition, group in zip(PARTITIONS, itertools.cycle(GROUPS), strict=False)
    for configuration in group
]
CONTROL = replace(GROUPS[0][0], seed=2)


def larger_design():
    """Every explorer on every partition, with the other factors in turn."""
    for (i, explorer), (k, partition) in itertools.product(
        enumerate(EXPLORERS), enumerate(PARTITIONS)
    ):
        yield (
            partition,
            Configuration(
                LEVELS["model"][(i + k) % 3],
                explorer,
                LEVELS["n_chains"][(i + 2 * k + k // 3) % 3],
                LEVELS["driver"][(i + k) % 2],
                LEVELS["precision"][(i + k // 2) % 2],
            ),
        )


def not_covered(design, factors):
    """Pairs of levels of different factors that no run of the design has."""
    levels = {**{name: LEVELS[name] for name in factors}, "partition": PARTITIONS}
    rows = [{**vars(configuration), "partition": p} for p, configuration in design]
    return [
        (a, x, b, y)
        for a, b in itertools.combinations(levels, 2)
        for x, y in itertools.product(levels[a], levels[b])
        if not any(row[a] == x and row[b] == y for row in rows)
    ]


def test_the_designs_cover_all_pairs_of_levels():
    small = ("model", "n_chains", "driver", "precision")
    assert not_covered(DESIGN, small) == []
    assert {c.explorer for _, c in DESIGN} == set(EXPLORERS)
    assert not_covered(list(larger_design()), tuple(LEVELS)) == []
    assert len(not_covered(DESIGN[:-1], small)) > 0


@pytest.fixture(scope="session")
def digests(request, tmp_path_factory, environment):
    """Runs configurations in one launch; their digests, in order."""

    def launch(partition, configurations):
        n_processes, n_threads = partition
        folder = tmp_path_factory.mktemp("runs")
        launcher = []
        if n_processes > 1:
            launcher = [request.getfixturevalue("mpiexec"), "-n", str(n_processes)]
        words = [str(n_threads), str(folder), as_words(configurations)]
        done = subprocess.run(
            [*launcher, sys.executable, program("same_bits"), *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
        found = [json.loads(words[1]) for words in lines if words and words[0] == "DIGESTS"]
        assert len(found) == len(configurations), done.stdout
        return found

    return launch


@pytest.fixture(scope="session")
def of_one_process(digests):
    """Digests of one process with one thread, each configuration run once."""
    known = {}

    def look_up(configurations):
        new = [c for c in dict.fromkeys(configurations) if c not in known]
        known.update(zip(new, digests((1, 1), new) if new else [], strict=True))
        return [known[c] for c in configurations]

    return look_up


def check(design, partition, digests, of_one_process):
    if partition[0] > 1:
        pytest.importorskip("mpi4py", reason="no mpi4py: pip install 'numpygeons-core[mpi]'")
    configurations = [c for p, c in design if p == partition]
    everywhere = digests(partition, configurations)
    for configuration, wanted, found in zip(
        configurations, of_one_process(configurations), everywhere, strict=True
    ):
        assert found == wanted, (partition, configuration)
        assert set(found["files"]) == {
            "run.checkpoint",
            *(f"round-{r:02d}.checkpoint" for r in range(1, configuration.n_rounds + 1)[-3:]),
            f"round-{configuration.n_rounds:02d}.samples.npz",
        }


@pytest.mark.usual("partition2", "partition3")
@pytest.mark.parametrize("partition", PARTITIONS)
def test_ranks_and_threads_do_not_show_in_the_results(partition, digests, of_one_process):
    check(DESIGN, partition, digests, of_one_process)


def test_another_seed_shows_in_all_of_them(digests, of_one_process):
    (one,), (other,) = of_one_process([GROUPS[0][0]]), digests((1, 2), [CONTROL])
    for what in ("samples", "log_z", "schedule", "state"):
        assert one[what] != other[what]
    assert one["files"].keys() == other["files"].keys()
    for name in one["files"]:
        assert one["files"][name] != other["files"][name], name


@pytest.mark.usual("partition2", "partition4")
@pytest.mark.slow
@pytest.mark.parametrize("partition", PARTITIONS)
def test_every_explorer_has_the_same_bits_on_every_partition(partition, digests, of_one_process):
    check(list(larger_design()), partition, digests, of_one_process)
