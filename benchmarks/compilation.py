"""Times the compilation of models, with no cache and from a full one:

    python benchmarks/compilation.py [--problems mrna,odeint] [--runs 3]

The models are those of `compilation_models.py`, and the reference problems, which are read from the
folder `NUMPYGEONS_REFERENCE`, or `../shared/reference`, where it is there. Each figure
is the median over processes of their own, one after another; compilation includes tracing. Double
precision, default explorer.
"""

import argparse
import statistics
import sys
from typing import Any

import apart
from efficiency import names
from efficiency_problems import reference_folder
from overhead import line, machine, print_head

COLUMNS = ("problem", "dim.", "compile s", "from the cache s")
N_CHAINS = 10
N_ROUNDS = 8  # mixtures, which may need a program of their own, come from the sixth on


def targets() -> dict[str, Any]:
    """Functions that give the targets, by name."""
    import compilation_models

    import numpygeons

    own = {
        name: lambda target=target: target for name, target in compilation_models.models().items()
    }
    if not (reference_folder() / "problems").is_dir():
        return own
    sys.path.insert(0, str(reference_folder() / "problems"))
    import models  # type: ignore[import-not-found]

    return own | {
        name: lambda problem=problem: numpygeons.NumPyroPath(problem.model, (), problem.kwargs())
        for name, problem in models.PROBLEMS.items()
    }


def point(name: str) -> None:
    """Gives what compiling one problem takes, before its rounds and between them."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import numpygeons
    from numpygeons.target.path import as_path

    target = targets()[name]()
    pt = numpygeons.pigeons(target, n_chains=N_CHAINS, n_rounds=N_ROUNDS, show_report=False)
    apart.give(
        {
            "dimension": as_path(target).dimension,
            "seconds": sum(record.compile_seconds for record in pt.rounds),
        }
    )


def row(name: str, compiled: list[dict[str, Any]], found: list[dict[str, Any]]) -> list[str]:
    """The cells of a problem, from processes without a cache and with a full one."""
    medians = (statistics.median(one["seconds"] for one in some) for some in (compiled, found))
    return [name, f"{compiled[0]['dimension']:,}", *(f"{median:.2f}" for median in medians)]


def cells(name: str, runs: int) -> list[str]:
    """Measures a problem, or says what went wrong."""
    compiled, found, trouble = apart.cold_and_warm([__file__, "--point", name], runs)
    return [name, trouble] if trouble else row(name, compiled, found)


def main() -> None:
    if sys.argv[1:2] == ["--point"]:
        point(sys.argv[2])
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", default="", help="names, with commas between; default all")
    parser.add_argument("--runs", type=int, default=3, help="per figure, which is their median")
    options = parser.parse_args()
    print(f"{machine()}; medians of {options.runs} runs\n")
    print_head(COLUMNS)
    for name in names(options.problems, tuple(targets())):
        print(line(cells(name, options.runs), len(COLUMNS)), flush=True)


if __name__ == "__main__":
    main()
