"""The figures and the rows of the overhead table in `benchmarks/`."""

import numpy as np
import pytest

TIMES = ("dimension", "chains", "barrier", "scan_us", "gradients_per_scan")
TIMES += ("gradient_us", "factor", "valued_us", "valued_factor")
PROCESS = ("seconds", "compile_seconds", "import_seconds", "peak_mb")


def as_dict(columns, row):
    return dict(zip(columns, row, strict=True))


def test_the_overhead_factor_is_time_over_that_of_the_gradients(benchmark_module):
    overhead_factor = benchmark_module("common.round_timing").overhead_factor
    assert overhead_factor(3.0, 1000, 1e-3) == pytest.approx(3.0)


def test_a_bare_gradient_is_computed_as_often_as_asked(benchmark_module, monkeypatch):
    """With a step that is not tiny, n gradients of a standard normal shrink x by (1 - step)^n."""
    import jax.numpy as jnp

    timing = benchmark_module("common.round_timing")
    monkeypatch.setattr(timing, "TINY", 0.01)
    x = jnp.array([1.0, -2.0], jnp.float32)

    def log_density(x):
        return -0.5 * jnp.sum(x**2)

    loops = timing.bare_loops(log_density, x, with_value=False)
    assert len(loops) == 2
    for loop in loops:
        assert np.asarray(loop(50)) == pytest.approx(np.asarray(x) * 0.99**50, rel=1e-5)
    valued = timing.bare_loops(log_density, x, with_value=True)[1](1)
    assert np.asarray(valued) == pytest.approx(np.asarray(x - 0.01 * (x + 2.5)), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["eight_schools_3", "varying_slopes"])
def test_bare_gradients_are_of_the_density_that_rounds_explore(benchmark_module, name):
    import jax

    from numpygeons.target.path import NumPyroPath, as_path

    problem = benchmark_module("common.overhead_problems").problem(name)
    path = as_path(NumPyroPath(problem.model, problem.model_args))
    x = path.sample_reference(jax.random.key(1))
    timing = benchmark_module("common.round_timing")
    density, theirs = timing.numpyro_density(problem, path.unflatten(x))
    assert density(theirs) == pytest.approx(float(sum(path.log_pair(x))), rel=1e-5)


def test_a_row_shows_medians_of_cold_and_warm_processes(benchmark_module):
    overhead = benchmark_module("overhead")
    timing = {
        "dimension": 1000,
        "chains": 20,
        "barrier": 8.96,
        "scan_us": 12.34,
        "gradients_per_scan": 16.5,
        "gradient_us": 0.0421,
        "factor": 2.504,
        "valued_us": 0.06,
        "valued_factor": 1.25,
    }

    def process(seconds, peak):
        return {
            "seconds": seconds,
            "compile_seconds": seconds / 2,
            "import_seconds": seconds / 10,
            "peak_mb": peak,
        }

    cold = [process(s, p) for s, p in ((2.0, 300.0), (9.0, 400.0), (4.0, 350.0))]
    row = overhead.row("m", timing, cold, [process(1.0, 500.0), process(1.5, 500.0)])
    assert as_dict(overhead.COLUMNS, row) == {
        "model": "m",
        "dim.": "1,000",
        "chains": "20",
        "Λ": "9.0",
        "µs per scan": "12.3",
        "gradients per scan": "16.5",
        "µs per bare gradient": "0.0421",
        "**overhead factor**": "**2.50**",
        "µs per gradient with value": "0.06",
        "factor with value": "1.25",
        "compile s": "2.00",
        "import s": "0.40",
        "process s, cold": "4.00",
        "process s, warm": "1.25",
        "peak MB": "350",
    }


@pytest.mark.slow
def test_the_smallest_model_fills_a_row_and_missing_data_say_so(
    benchmark_module, monkeypatch, tmp_path
):
    monkeypatch.setenv("NUMPYGEONS_REFERENCE", str(tmp_path))
    overhead = benchmark_module("overhead")
    assert "no data" in overhead.cells("mrna", 1, 0.01, 2)[1]
    row = as_dict(overhead.COLUMNS, overhead.cells("eight_schools_3", 1, 0.01, 2))
    assert (row["dim."], row["chains"]) == ("10", "3")
    del row["model"]
    numbers = {name: float(cell.strip("*").replace(",", "")) for name, cell in row.items()}
    assert all(value > 0 for value in numbers.values())
    assert numbers["gradients per scan"] >= 2  # two chains explore
    assert numbers["process s, warm"] > numbers["import s"]


def test_cold_processes_have_no_cache_and_warm_ones_a_full_one(benchmark_module, monkeypatch):
    """Each process here takes as many seconds as were run before it."""
    overhead = benchmark_module("overhead")
    caches = []

    def run_apart(arguments, settings=None):
        if arguments[1] == "--rounds-of":
            return [dict.fromkeys(TIMES, 1)], None
        caches.append(settings["NUMPYGEONS_CACHE"])
        return [dict.fromkeys(PROCESS, float(len(caches)))], None

    monkeypatch.setattr(benchmark_module("common.own_process"), "run_apart", run_apart)
    row = as_dict(overhead.COLUMNS, overhead.cells("varying_slopes", 2, 0.01, 2))
    filled, *rest = caches
    assert filled != "off"
    assert rest == ["off", filled, "off", filled]
    assert (row["process s, cold"], row["process s, warm"]) == ("3.00", "4.00")


def test_lengths_double_until_the_draws_are_worth_enough(benchmark_module):
    asked = []

    def run(length):
        asked.append(length)
        return [{"ess": length / 2, "seconds": 1.0, "log_z_error": None}], None

    enough = benchmark_module("peers.doubling").enough
    length, found, trouble = enough(run, 250, 1000.0, 180.0)
    assert (length, found["ess"], trouble) == (2000, 1000.0, "")
    assert asked == [250, 500, 1000, 2000]


@pytest.mark.parametrize(
    ("figures", "trouble", "said"),
    [
        ([], "not finished in 180 s", "> 180"),
        ([], "failed with code 1", "failed with code 1"),
        ([{"ess": 2000.0, "seconds": 181.0, "log_z_error": 0.1}], None, "> 180"),
    ],
)
def test_a_peer_that_never_gets_there_says_so(benchmark_module, figures, trouble, said):
    enough = benchmark_module("peers.doubling").enough
    assert enough(lambda length: (figures, trouble), 250, 1000.0, 180.0) == (250, None, said)


def test_a_peer_that_is_not_installed_says_so(benchmark_module, monkeypatch):
    absent = benchmark_module("peers.methods").Method(
        title="absent", prepare=None, module="no_such_module", package="no-such-package"
    )
    monkeypatch.setitem(benchmark_module("peers.methods").METHODS, "nuts", absent)
    row = benchmark_module("overhead").peer_cells("varying_slopes", "nuts", 1000.0, 180.0)
    assert row[1:] == ["absent", "not installed"]


def test_only_ours_runs_a_model_again_with_more_chains(benchmark_module):
    pairs = benchmark_module("overhead").pairs
    assert pairs(["eight_schools_3", "eight_schools_10"], ["numpygeons", "nuts"]) == [
        ("eight_schools_3", "numpygeons"),
        ("eight_schools_3", "nuts"),
        ("eight_schools_10", "numpygeons"),
    ]


@pytest.mark.slow
def test_our_own_row_reaches_the_ess_it_was_asked_for(benchmark_module):
    row = benchmark_module("overhead").peer_cells("eight_schools_3", "numpygeons", 20.0, 180.0)
    assert row[1].endswith(", 3 chains")
    assert float(row[3]) >= 20
    assert row[4] == "10 rounds"
    assert float(row[5]) < 1.0


GROWTH = [
    {
        "size": size,
        "chains": size,
        "dimension": 10,
        "scan_us": 2.0 * size,
        "gradients_per_scan": 4.0 * size,
        "valued_us": 0.1,
        "peak_mb": 300.0,
    }
    for size in (3, 1000)
]


def test_growth_is_divided_by_chains_and_by_gradients(benchmark_module):
    growth = benchmark_module("growth")
    assert as_dict(("size", *growth.COLUMNS), growth.row(GROWTH[1])) == {
        "size": "1,000",
        "µs per scan": "2,000",
        "µs per scan and chain": "2",
        "gradients per scan and chain": "4",
        "µs per gradient": "0.5",
        "µs per gradient and coordinate": "0.05",
        "µs per bare gradient with value": "0.1",
        "peak MB": "300",
    }


def test_growth_is_plotted_beside_a_linear_line(benchmark_module, tmp_path):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    benchmark_module("growth").plot(
        {"chains": GROWTH, "dimension": GROWTH}, tmp_path / "growth.svg"
    )
    assert (tmp_path / "growth.svg").read_text().startswith("<?xml")
    drawn = {line.get_label(): list(line.get_ydata()) for line in pyplot.gcf().axes[0].get_lines()}
    assert drawn["linear"] == pytest.approx(drawn["µs per scan"])
    assert drawn["µs per gradient"] == [0.5, 0.5]
    pyplot.close("all")
