"""The figures and the rows of the tables of lanes and of compilation in `benchmarks/`."""

import pytest


def test_auto_is_held_against_the_best_width(benchmark_module):
    lanes = benchmark_module("lanes")
    assert lanes.widths(10) == [1, 2, 5, 10]
    assert lanes.widths(3) == [1, 2, 2, 3]
    found = [{"scan_us": 10 * t, "gradient_us": t} for t in (3.0, 4.0, 2.0, 2.5)]
    row = dict(zip(lanes.COLUMNS, lanes.row("m", 10, 1, found), strict=True))
    assert row["µs per scan, one by one"] == "30"
    assert row["µs per gradient, half"] == "2"
    assert (row["auto"], row["auto / best, per gradient"]) == ("1", "1.50")


@pytest.mark.slow
def test_the_smallest_model_is_timed_at_every_width(benchmark_module):
    lanes = benchmark_module("lanes")
    row = lanes.cells("eight_schools_3", 1, 0.01)
    numbers = [float(cell) for cell in row[1:]]
    assert len(row) == len(lanes.COLUMNS)
    assert min(numbers) > 0
    assert numbers[-1] >= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gp_20", "network_200"])
def test_models_that_are_in_no_other_table_can_be_explored(benchmark_module, name):
    import numpygeons

    problem = benchmark_module("lanes").problem(name)
    pt = numpygeons.pigeons(
        problem.model,
        model_args=problem.model_args,
        n_chains=4,
        n_rounds=3,
        show_report=False,
    )
    assert pt.rounds[-1].n_gradients > 0


@pytest.mark.slow
def test_compilation_is_timed_without_a_cache_and_from_a_full_one(benchmark_module, reference):
    compilation = benchmark_module("compilation")
    name, dimension, compiled, found = compilation.cells("unid_100", 1)
    assert (name, dimension) == ("unid_100", "2")
    assert min(float(compiled), float(found)) > 0


def test_compilation_has_no_cache_and_then_a_full_one(benchmark_module, monkeypatch):
    """Each process here takes as many seconds as were run before it."""
    compilation = benchmark_module("compilation")
    caches = []

    def run_apart(arguments, settings):
        caches.append(settings["NUMPYGEONS_CACHE"])
        return [{"dimension": 1000, "seconds": float(len(caches))}], None

    monkeypatch.setattr(benchmark_module("common.own_process"), "run_apart", run_apart)
    assert compilation.cells("m", 3) == ["m", "1,000", "4.00", "5.00"]
    folder = caches[0]
    assert caches == [folder] + 3 * ["off", folder]
    assert folder != "off"
