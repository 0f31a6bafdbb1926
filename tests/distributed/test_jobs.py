"""Jobs: what the scripts say, and what happens with programs that behave like a queue's."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest

from numpygeons import LSFJob, PBSJob, Result, RunError, SlurmJob, kill, pigeons
from numpygeons.distributed.files import write_text
from numpygeons.distributed.queues import LSF, PBS, QUEUES, SLURM
from support.small_models import impossible, normal

JOBS = {"slurm": SlurmJob, "pbs": PBSJob, "lsf": LSFJob}
SUBMIT = {"slurm": "sbatch", "pbs": "qsub", "lsf": "bsub"}
ASK = {"slurm": "squeue", "pbs": "qstat", "lsf": "bjobs"}
CANCEL = {"slurm": "scancel", "pbs": "qdel", "lsf": "bkill"}
ID = {"slurm": "123", "pbs": "123.server", "lsf": "123"}
ACCEPTED = {
    "slurm": "Submitted batch job 123",
    "pbs": "123.server",
    "lsf": "Job <123> is submitted to queue <normal>.",
}
# What each says of a job that waits, that runs, and that it does not know.
WAITS = {"slurm": "PENDING", "pbs": "    job_state = Q", "lsf": "PEND"}
RUNS = {"slurm": "RUNNING", "pbs": "    job_state = R", "lsf": "RUN"}
UNKNOWN = {
    "slurm": "slurm_load_jobs error: Invalid job id specified",
    "pbs": "qstat: Unknown Job Id 123.server",
    "lsf": "Job <123> is not found",
}


class Cluster:
    """A queue of one job whose programs are on PATH; the job runs in the background when let."""

    def __init__(self, kind, folder, monkeypatch):
        self.kind, self.folder = kind, folder
        folder.mkdir()
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        self.says(ACCEPTED[kind])
        self.takes_jobs()
        self._program(ASK[kind], f'. "{folder}/state"')
        self._program(CANCEL[kind], f'echo "$@" > "{folder}/cancelled"')
        self.tells(WAITS[kind])

    def _program(self, name, text):
        path = self.folder / name
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)

    def takes_jobs(self, then=""):
        folder, script = self.folder, "cat" if self.kind == "lsf" else 'cat "$1"'
        self._program(
            SUBMIT[self.kind],
            f'pwd > "{folder}/where"; {script} > "{folder}/script"; {then} cat "{folder}/answer"',
        )

    def starts_jobs_at_once(self):
        job = f'setsid bash "{self.folder}/script" < /dev/null > /dev/null 2>&1 &'
        self.takes_jobs(then=job)
        self.tells(RUNS[self.kind])

    def says(self, answer):
        (self.folder / "answer").write_text(f"{answer}\n")

    def refuses(self, error):
        self._program(SUBMIT[self.kind], f"echo {shlex.quote(error)} >&2; exit 1")

    def tells(self, state, code=0):
        stream = "&2" if code else "&1"
        text = f"echo {shlex.quote(state)} >{stream}; exit {code}\n"
        write_text(self.folder / "state", text)

    def forgets(self):
        self.tells(UNKNOWN[self.kind], code=0 if self.kind == "lsf" else 1)

    def run(self):
        """Runs the script as the queue would, from the folder it was submitted from."""
        self.tells(RUNS[self.kind])
        return subprocess.Popen(
            ["bash", str(self.folder / "script")],
            cwd=(self.folder / "where").read_text().strip(),
            start_new_session=True,
        )


@pytest.fixture(params=JOBS)
def cluster(request, tmp_path, monkeypatch):
    return Cluster(request.param, tmp_path / "programs", monkeypatch)


@pytest.fixture
def run_folder(tmp_path):
    folder = tmp_path / 'a folder with "quotes" and $HOME\'s'
    folder.mkdir()
    return folder


def directives(job, folder):
    lines = job.script(folder).splitlines()
    assert lines[0] == "#!/bin/bash"
    last = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    return lines[1:last]


def test_slurms_directives(tmp_path):
    job = SlurmJob(
        n_processes=4,
        n_threads=2,
        walltime="1-02:00:00",
        memory="3G",
        account="me",
        partition="long",
        extra_lines=("#SBATCH --gres=gpu:1", "ulimit -c 0"),
    )
    assert directives(job, tmp_path) == [
        "#SBATCH --job-name=numpygeons",
        "#SBATCH --ntasks=4",
        "#SBATCH --cpus-per-task=2",
        "#SBATCH --time=26:00:00",
        "#SBATCH --mem-per-cpu=1536M",
        "#SBATCH --output=queue.txt",
        "#SBATCH --account=me",
        "#SBATCH --partition=long",
        "#SBATCH --gres=gpu:1",
    ]
    assert re.search(r"^srun -n 4 \S+ -P -m numpygeons run ", job.script(tmp_path), re.MULTILINE)


def test_pbs_directives(tmp_path):
    job = PBSJob(n_processes=4, n_threads=2, walltime="26:00:00", memory="3G", queue="long")
    assert directives(job, tmp_path) == [
        "#PBS -N numpygeons",
        "#PBS -l select=4:ncpus=2:mpiprocs=1:mem=3072mb",
        "#PBS -l walltime=26:00:00",
        "#PBS -j oe",
        "#PBS -o queue.txt",
        "#PBS -q long",
    ]
    assert re.search(r"^mpiexec -n 4 \S+ -P -m numpygeons", job.script(tmp_path), re.MULTILINE)


def test_lsfs_directives(tmp_path):
    job = LSFJob(n_processes=4, n_threads=2, walltime="0:30:01", memory="3G", account="me")
    assert directives(job, tmp_path) == [
        "#BSUB -J numpygeons",
        "#BSUB -n 8",
        "#BSUB -W 0:31",
        '#BSUB -R "rusage[mem=1536MB]"',
        "#BSUB -oo queue.txt",
        '#BSUB -R "span[block=2]"',
        "#BSUB -P me",
    ]
    assert not any("span" in line for line in directives(LSFJob(), tmp_path))


@pytest.mark.parametrize("job", JOBS.values())
def test_one_process_needs_no_launcher(job, tmp_path):
    assert f"\n{sys.executable} -P -m numpygeons run " in job(n_processes=1).script(tmp_path)


@pytest.mark.parametrize("job", JOBS.values())
@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"n_processes": 0}, ValueError, "n_processes must be at least 1: got 0"),
        ({"n_processes": 1.5}, TypeError, "n_processes must be an integer"),
        ({"n_threads": -1}, ValueError, "n_threads must be at least 1"),
        ({"walltime": "30"}, ValueError, "walltime must read"),
        ({"memory": "lots"}, ValueError, "memory must be a number with unit"),
        ({"modules": "gcc"}, TypeError, "modules must be a tuple"),
        ({"modules": ("",)}, ValueError, "each of modules must be one line"),
        ({"extra_lines": ("a\nb",)}, ValueError, "each of extra_lines must be one line"),
        ({"extra_lines": (None,)}, TypeError, "each of extra_lines must be text"),
        ({"account": "a b"}, ValueError, "account must be a name"),
        ({"mpiexec": None}, TypeError, "mpiexec must be text"),
        ({"environment": {"A": 1}}, TypeError, "environment must map names to text"),
    ],
)
def test_bad_settings_are_named(job, settings, error, message):
    with pytest.raises(error, match=message):
        job(**settings)


def test_where_it_waits_must_be_a_name():
    with pytest.raises(ValueError, match="partition must be a name"):
        SlurmJob(partition="a;b")
    with pytest.raises(ValueError, match="queue must be a name"):
        PBSJob(queue="'")


def test_the_script_runs_what_it_is_told_whatever_the_folder_is_called(
    cluster, run_folder, tmp_path, monkeypatch
):
    place = tmp_path / "it's here"
    place.mkdir()
    monkeypatch.chdir(place)
    words = 'printf "%s|" "$@"; pwd; echo "$GREETING"; echo to stderr >&2; exit 7\n'
    launcher = tmp_path / "my launcher"
    launcher.write_text(f"#!/bin/bash\n{words}")
    launcher.chmod(0o755)
    job = JOBS[cluster.kind](
        n_processes=3,
        mpiexec=f"{shlex.quote(str(launcher))} --flag 'a b'",
        environment={"GREETING": "good $day"},
        modules=("gcc/12",),
        extra_lines=('module() { echo "module $*"; }', "export -f module"),
    )
    result = job.start(run_folder)
    assert result.status() == "queued"
    assert cluster.run().wait(20) == 7
    lines = (run_folder / "log.txt").read_text().splitlines()
    assert lines[0] == "module load gcc/12"
    assert lines[1].startswith("--flag|a b|-n|3|")
    assert lines[1].endswith(f"|-P|-m|numpygeons|run|{run_folder}|{place}")
    assert lines[2:] == ["good $day", "to stderr"]
    assert result.status() == "failed"
    with pytest.raises(RunError, match=r"exit code 7(.|\n)*to stderr"):
        result.wait(timeout=20)


def test_a_job_that_succeeds_is_finished(cluster, run_folder, capsys):
    result = JOBS[cluster.kind](mpiexec="echo started").start(run_folder)
    assert (cluster.folder / "where").read_text().strip() == str(run_folder)
    assert result.id == ID[cluster.kind]
    assert cluster.run().wait(20) == 0
    again = Result(run_folder)
    assert again.status() == "finished"
    again.wait()
    again.watch()
    assert capsys.readouterr().out.startswith("started -n 2 ")
    assert repr(str(run_folder)) in repr(again)


@pytest.mark.usual("slurm")
def test_a_run_in_a_job_has_the_bits_of_one_here(cluster, tmp_path, monkeypatch, capsys):
    place = tmp_path / "it's my folder"
    place.mkdir()
    monkeypatch.chdir(place)
    cluster.starts_jobs_at_once()
    settings = {"n_chains": 3, "n_rounds": 4}
    here = pigeons(normal, **settings, show_report=False)
    result = pigeons(normal, **settings, on=JOBS[cluster.kind](n_processes=1))
    assert (place / "results" / "latest").resolve() == result.folder
    result.watch()
    assert "\n    4      16 " in capsys.readouterr().out
    assert result.wait(timeout=60).status() == "finished"
    assert result.load().samples["x"].tobytes() == here.samples["x"].tobytes()


@pytest.mark.slow
def test_a_run_that_fails_in_a_job_says_why(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cluster = Cluster("slurm", tmp_path / "programs", monkeypatch)
    cluster.starts_jobs_at_once()
    result = pigeons(impossible, n_chains=3, on=SlurmJob(n_processes=1))
    with pytest.raises(RunError, match=r"rank 0 raised NumericalError(.|\n)*likelihood"):
        result.wait(timeout=60)


@pytest.mark.usual("pbs")
def test_a_job_is_followed_through_the_queue(cluster, run_folder):
    result = JOBS[cluster.kind]().start(run_folder)
    assert result.status() == "queued"
    cluster.tells(RUNS[cluster.kind])
    assert result.status() == "running"
    with pytest.raises(TimeoutError, match=r"after 0\.3 s the run in .* still goes on"):
        result.wait(timeout=0.3)
    result.kill()
    assert (cluster.folder / "cancelled").read_text().split() == [ID[cluster.kind]]
    cluster.forgets()
    assert result.status() == "failed"
    with pytest.raises(RunError, match="ended without an exit code"):
        result.wait(timeout=20)
    (cluster.folder / "cancelled").unlink()
    kill(run_folder)  # nothing to do any more
    assert not (cluster.folder / "cancelled").exists()


def test_a_queue_that_cannot_tell_is_no_end_of_the_run(cluster, run_folder):
    result = JOBS[cluster.kind]().start(run_folder)
    cluster.tells("error: unable to contact the controller", code=1)
    with pytest.raises(RunError, match=r"did not tell of job 123.*unable to contact"):
        result.status()
    with pytest.raises(TimeoutError):
        result.wait(timeout=0.3)


def test_a_submission_that_is_refused_says_why(cluster, run_folder):
    cluster.refuses("error: Invalid account or account/partition combination")
    with pytest.raises(RunError, match=r"did not take .* \(exit code 1\): error: Invalid account"):
        JOBS[cluster.kind]().start(run_folder)
    assert not (run_folder / "job.json").exists()


def test_a_submission_that_fails_after_its_answer_is_no_job(cluster, run_folder):
    cluster.takes_jobs(then=f'cat "{cluster.folder}/answer"; exit 1;')
    with pytest.raises(RunError, match=r"did not take .* \(exit code 1\)"):
        JOBS[cluster.kind]().start(run_folder)


def test_a_submission_that_answers_otherwise_is_not_taken_for_a_job(cluster, run_folder):
    cluster.says("please read the message of the day")
    with pytest.raises(RunError, match=r"did not take .*message of the day"):
        JOBS[cluster.kind]().start(run_folder)


@pytest.mark.parametrize("kind", JOBS)
def test_a_missing_queue_is_named(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=f"no {SUBMIT[kind]} on PATH"):
        JOBS[kind]().check_programs()


def test_every_state_of_a_queue_is_known():
    assert list(QUEUES) == list(JOBS)
    assert SLURM.states["PENDING"] == "queued"
    assert SLURM.states["COMPLETING"] == "running"
    assert PBS.states["H"] == "queued"
    assert LSF.states["SSUSP"] == "running"
    for queue, over in ((SLURM, "COMPLETED"), (PBS, "F"), (LSF, "EXIT")):
        assert over not in queue.states


@pytest.mark.usual("slurm")
def test_a_terminated_script_leaves_no_exit_code(cluster, run_folder, tmp_path):
    launcher = tmp_path / "slow"
    launcher.write_text("#!/bin/bash\nsleep 300\n")
    launcher.chmod(0o755)
    result = JOBS[cluster.kind](mpiexec=str(launcher)).start(run_folder)
    process = cluster.run()
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(20)
    cluster.forgets()
    assert result.status() == "failed"
    assert not (run_folder / "exit").exists()
