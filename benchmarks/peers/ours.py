"""Runs a problem with numpygeons."""

from common.problem import Problem
from common.run import Run, Runner


def numpygeons(problem: Problem, n_rounds: int | None = None) -> Runner:
    """Default settings, and the problem's number of rounds. A gradient: `RoundRecord.n_gradients`,
    of prior and likelihood at one state, all chains counted; the last round makes the draws, those
    before it tune."""
    import numpygeons as package

    target = package.NumPyroPath(problem.model, problem.model_args)

    def run(seed: int) -> Run:
        pt = package.pigeons(
            target,
            n_chains=problem.n_chains,
            n_rounds=n_rounds or problem.n_rounds,
            seed=seed,
            show_report=False,
        )
        last = pt.rounds[-1]
        return Run(
            samples={name: value[None] for name, value in pt.samples.items()},
            log_z=pt.log_z,
            n_gradients=sum(record.n_gradients for record in pt.rounds),
            sampling_seconds=last.seconds,
            sampling_gradients=last.n_gradients,
        )

    return run
