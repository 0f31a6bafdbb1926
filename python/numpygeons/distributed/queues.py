"""Speaks to the programs of Slurm, PBS and LSF: submit a script, ask after a job, cancel it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpygeons.errors import RunError

TIMEOUT = 120  # seconds that a queue may take to answer
QUEUED, RUNNING = "queued", "running"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a program said."""

    code: int
    out: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """One kind of queue, by its programs."""

    name: str
    kind: str
    submit: tuple[str, ...]
    by_input: bool  # the script goes to the program's standard input, not to its arguments
    id: re.Pattern[str]  # of a job, in what the program prints
    question: tuple[str, ...]  # the job's id follows
    state: re.Pattern[str]  # in the answer
    states: dict[str, str]  # the queue's word for what counts as queued or running
    unknown: re.Pattern[str]  # said of a job that is over
    cancel: tuple[str, ...]  # the job's id follows

    def submit_script(self, script: Path) -> str:
        """Submit from the script's folder; return the job's id.

        Raises
        ------
        FileNotFoundError
            When the program is missing.
        RunError
            When it refuses.
        """
        self.check_programs()
        words = self.submit if self.by_input else (*self.submit, script.name)
        answer = self._call(words, folder=script.parent, script=script if self.by_input else None)
        found = self.id.search(answer.out)
        if answer.code or found is None:
            raise RunError(
                f"{self.submit[0]} did not take {script} (exit code {answer.code}): "
                f"{(answer.error or answer.out).strip()}"
            )
        return found[1]

    def check_programs(self) -> None:
        """Raise FileNotFoundError if there is no program to submit with."""
        if shutil.which(self.submit[0]) is None:
            raise FileNotFoundError(
                f"there is no {self.submit[0]} on PATH: submit to {self.name} from a machine of "
                "its cluster, or use on=ChildProcess() on this one"
            )

    def ask(self, job: dict[str, Any]) -> str | None:
        """Return "queued", "running", or None if the queue does not have it any more."""
        answer = self._call((*self.question, str(job["id"])))
        if answer.code and not self.unknown.search(answer.error + answer.out):
            raise RunError(
                f"{self.question[0]} did not tell of job {job['id']} (exit code {answer.code}): "
                f"{(answer.error or answer.out).strip()}"
            )
        found = self.state.search(answer.out)
        return self.states.get(found[1]) if found else None

    def end(self, job: dict[str, Any]) -> None:
        """Cancel the job."""
        answer = self._call((*self.cancel, str(job["id"])))
        if answer.code and self.ask(job) is not None:
            raise RunError(
                f"{self.cancel[0]} did not end job {job['id']} (exit code {answer.code}): "
                f"{(answer.error or answer.out).strip()}"
            )

    def _call(
        self, words: tuple[str, ...], folder: Path | None = None, script: Path | None = None
    ) -> Answer:
        try:
            done = subprocess.run(
                words,
                input=b"" if script is None else script.read_bytes(),
                capture_output=True,
                cwd=folder,
                env={**os.environ, "LC_ALL": "C"} if script is None else None,
                timeout=TIMEOUT,
                check=False,
            )
        except FileNotFoundError:
            raise RunError(f"there is no {words[0]} on PATH to ask {self.name} with") from None
        except subprocess.TimeoutExpired:
            raise RunError(f"{words[0]} did not answer within {TIMEOUT} s") from None
        out, error = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
        return Answer(code=done.returncode, out=out, error=error)


def _states(queued: str, running: str) -> dict[str, str]:
    return dict.fromkeys(queued.split(), QUEUED) | dict.fromkeys(running.split(), RUNNING)


SLURM = Queue(
    name="Slurm",
    kind="slurm",
    submit=("sbatch",),
    by_input=False,
    id=re.compile(r"Submitted batch job (\d+)"),
    question=("squeue", "--noheader", "--format=%T", "--jobs"),
    state=re.compile(r"^(\w+)", re.MULTILINE),
    states=_states(
        "PENDING REQUEUED REQUEUE_HOLD REQUEUE_FED RESV_DEL_HOLD SPECIAL_EXIT",
        "RUNNING CONFIGURING COMPLETING STAGE_OUT SIGNALING RESIZING SUSPENDED STOPPED",
    ),
    unknown=re.compile("Invalid job id"),
    cancel=("scancel",),
)
PBS = Queue(
    name="PBS",
    kind="pbs",
    submit=("qsub",),
    by_input=False,
    id=re.compile(r"^(\d+\S*)", re.MULTILINE),
    question=("qstat", "-f"),
    state=re.compile(r"job_state = (\w)"),
    states=_states("Q H W T M", "R E B S U"),
    unknown=re.compile("Unknown Job|has finished", re.IGNORECASE),
    cancel=("qdel",),
)
LSF = Queue(
    name="LSF",
    kind="lsf",
    submit=("bsub",),
    by_input=True,
    id=re.compile(r"Job <(\d+)> is submitted"),
    question=("bjobs", "-noheader", "-o", "stat"),
    state=re.compile(r"^(\w+)", re.MULTILINE),
    states=_states("PEND PSUSP WAIT PROV", "RUN USUSP SSUSP UNKWN"),
    unknown=re.compile("is not found"),
    cancel=("bkill",),
)
QUEUES = {queue.kind: queue for queue in (SLURM, PBS, LSF)}
