"""The tasks of a SLURM step as the processes of a run.

`srun` tells each task of a step who it is; `sbatch` and `salloc` say how many tasks were asked for to the one process
of a script or shell too, which is no task of a step and trains alone.
"""

import re
from collections.abc import Mapping

from mldfr.core.errors import SettingError

FIRST_PORT, PORTS = 15_000, 10_000
"""Two steps on one machine meet at ports of their own, as long as the ends of their jobs' numbers differ."""


def as_torchrun(environment: Mapping[str, str]) -> dict[str, str]:
    """What `torchrun` would tell this process, had it started the tasks of the step that this one is of.

    Args:
        environment: The variables that SLURM has set.

    Returns:
        Nothing where `torchrun` has told it already, or the process is no task of a step of several.

    Raises:
        SettingError: Machines of the step have different numbers of tasks.

    Examples:
        >>> task = {"SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NODEID": "1", "SLURM_STEP_NUM_TASKS": "4"}
        >>> told = as_torchrun({**task, "SLURM_STEP_TASKS_PER_NODE": "2(x2)", "SLURM_STEP_NODELIST": "gpu[7-8]"})
        >>> told["RANK"], told["LOCAL_RANK"], told["LOCAL_WORLD_SIZE"], told["MASTER_ADDR"]
        ('3', '1', '2', 'gpu7')
        >>> as_torchrun({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"})
        {}
    """
    count = int(environment.get("SLURM_STEP_NUM_TASKS", "1"))
    if "WORLD_SIZE" in environment or count < 2:
        return {}
    rank, job = environment["SLURM_PROCID"], int(environment.get("SLURM_JOB_ID", "0"))
    return {
        "WORLD_SIZE": str(count),
        "RANK": rank,
        "ROLE_RANK": rank,
        "LOCAL_RANK": environment["SLURM_LOCALID"],
        "LOCAL_WORLD_SIZE": str(_on_each(environment.get("SLURM_STEP_TASKS_PER_NODE", str(count)))),
        "GROUP_RANK": environment.get("SLURM_NODEID", "0"),
        "MASTER_ADDR": environment.get("MASTER_ADDR") or _first_of(environment.get("SLURM_STEP_NODELIST", "127.0.0.1")),
        "MASTER_PORT": environment.get("MASTER_PORT") or str(FIRST_PORT + job % PORTS),
        "TORCHELASTIC_RUN_ID": f"slurm-{job}",
    }


def _on_each(tasks: str) -> int:
    """The tasks of each machine, of what SLURM writes as `4(x2),3`."""
    counts = {int(part.partition("(")[0]) for part in tasks.split(",")}
    if len(counts) > 1:
        raise SettingError(
            f"SLURM has started {tasks} tasks on the machines of this step; expected as many on each: ask for "
            "--ntasks-per-node"
        )
    return counts.pop()


def _first_of(machines: str) -> str:
    """The first machine of what SLURM writes as `node[07-09,12],login1`."""
    found = re.match(r"([^,\[]*)(?:\[([^\],-]*)[^\]]*\]([^,]*))?", machines)
    assert found is not None
    return "".join(part or "" for part in found.groups())
