"""Tasks of SLURM as processes of a run: what its manual says of its variables, and two tasks that train together."""

import pytest
from small_runs import command, free_port, weights

from forked import Program
from mldfr.core.errors import SettingError
from mldfr.training.slurm import as_torchrun

JOB = {  # what `sbatch --nodes 2 --ntasks-per-node 3` tells all of its processes
    "SLURM_JOB_ID": "4711023",
    "SLURM_NTASKS": "6",
    "SLURM_NPROCS": "6",
    "SLURM_TASKS_PER_NODE": "3(x2)",
    "SLURM_JOB_NODELIST": "node[07-08]",
    "SLURM_JOB_NAME": "birds",
}
BATCH = JOB | {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
TASK = JOB | {
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "6",
    "SLURM_STEP_TASKS_PER_NODE": "3(x2)",
    "SLURM_STEP_NODELIST": "node[07-08]",
    "SLURM_PROCID": "4",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
}


def test_a_task_of_a_step_is_told_what_torchrun_would_tell_it():
    told = as_torchrun(TASK)
    assert told == {
        "WORLD_SIZE": "6",
        "RANK": "4",
        "ROLE_RANK": "4",
        "LOCAL_RANK": "1",
        "LOCAL_WORLD_SIZE": "3",
        "GROUP_RANK": "1",
        "MASTER_ADDR": "node07",
        "MASTER_PORT": "16023",
        "TORCHELASTIC_RUN_ID": "slurm-4711023",
    }
    assert as_torchrun(TASK | {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "1"}).items() >= {
        ("MASTER_ADDR", "10.0.0.1"),
        ("MASTER_PORT", "1"),
    }


@pytest.mark.parametrize(
    "environment",
    [{}, BATCH, BATCH | {"SLURM_STEP_NUM_TASKS": "1"}, TASK | {"WORLD_SIZE": "6", "RANK": "4"}],
    ids=["no SLURM", "the script of a job", "a step of one task", "torchrun within a step"],
)
def test_whatever_is_no_task_of_several_is_told_nothing(environment):
    assert as_torchrun(environment) == {}


@pytest.mark.parametrize(
    ("machines", "first"),
    [
        ("login1", "login1"),
        ("a,b", "a"),
        ("node[07-09,12],x", "node07"),
        ("n[1,3]", "n1"),
        ("r[2-3]-gpu", "r2-gpu"),
        ("node-a[10-12].cluster", "node-a10.cluster"),
    ],
)
def test_the_first_machine_is_where_they_meet(machines, first):
    assert as_torchrun(TASK | {"SLURM_STEP_NODELIST": machines})["MASTER_ADDR"] == first


def test_machines_with_more_tasks_than_others_are_refused():
    with pytest.raises(SettingError, match=r"4\(x2\),3 tasks on the machines .*--ntasks-per-node"):
        as_torchrun(TASK | {"SLURM_STEP_TASKS_PER_NODE": "4(x2),3"})
    assert as_torchrun(TASK | {"SLURM_STEP_TASKS_PER_NODE": "3(x1),3"})["LOCAL_WORLD_SIZE"] == "3"


def test_two_tasks_train_one_network_and_the_script_of_a_job_trains_alone(pictures, tmp_path):
    step = TASK | {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_STEP_NODELIST": "127.0.0.1"}
    step |= {"SLURM_NODEID": "0", "MASTER_PORT": free_port(), "OMP_NUM_THREADS": "1"}
    short = ["--set", "training.epochs=1"]
    tasks = [
        Program(
            *command(pictures, tmp_path / "step", *short)[2:],
            environment=step | {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)},
        )
        for rank in range(2)
    ]
    alone = Program(*command(pictures, tmp_path / "alone", *short)[2:], environment=BATCH | {"OMP_NUM_THREADS": "1"})
    assert [task.wait() for task in tasks] == [0, 0], tasks[0].stderr
    assert alone.wait() == 0, alone.stderr
    together, by_itself = weights(tmp_path / "step"), weights(tmp_path / "alone")
    assert together.keys() == by_itself.keys()
    assert "epoch 1/1" in tasks[0].stderr
    assert "epoch 1/1" not in tasks[1].stderr
