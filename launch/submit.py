"""Submit a stage, or the chain of all stages, to Slurm; show it, cancel it.

    python -m launch.submit sft --config_name fake_hr1_7b --nodes 4 [--dry_run]
    python -m launch.submit pipeline --config_name fake_hr1_7b --nodes 4

``make sft LAUNCH=slurm``, ``make pipeline`` and so on call this. A stage whose output is whole is
passed over; one that was cut off goes on from what it saved.
"""

import argparse
import shlex
from dataclasses import dataclass
from pathlib import Path

from launch.jobs import is_alive, read_jobs, remember_job, run_slurm
from launch.site_settings import read_site
from launch.stages import SHARDED, STAGES, TRAINED, Stage, make_stage
from recipes.budget.batches import GroupBatch, explain_batch
from rewards.errors import UserError, run_cli

SCRIPTS = Path("launch/slurm")


@dataclass(frozen=True)
class Job:
    """One ``sbatch``.

    Attributes:
        part: "sft", "filter", "filter-merge", …: what it is called in the run's list of jobs.
        options: Of sbatch.
        script: Job script.
        command: Arguments of the script.
        environment: Variables that the script reads.
    """

    part: str
    options: tuple[str, ...]
    script: Path
    command: tuple[str, ...]
    environment: dict[str, str]

    def sbatch(self) -> list[str]:
        """Return the command line that submits it."""
        variables = ",".join(f"{key}={value}" for key, value in self.environment.items())
        export = f"--export=ALL,{variables}" if variables else "--export=ALL"
        return ["sbatch", "--parsable", *self.options, export, str(self.script), *self.command]


@dataclass(frozen=True)
class Submission:
    """What is the same for all jobs of one call.

    Attributes:
        config: Folder of recipes/configs.
        run_dir: Folder of the run.
        nodes: Nodes of a training job; filter and eval take as many GPUs.
        accelerate: File of launch/accelerate, without its ending.
        site: Settings of ``launch/site.env``.
        vllm_nodes: Of ``nodes``, those that serve completions to GRPO instead of training: 0 or 1.
        vllm_gpus: GPUs that the server's model is split over.
    """

    config: str
    run_dir: Path
    nodes: int
    accelerate: str
    site: dict[str, str]
    vllm_nodes: int = 0
    vllm_gpus: int = 4

    @property
    def gpus_per_node(self) -> int:
        """GPUs, and so processes, of a node."""
        return int(self.site["SITE_GPUS_PER_NODE"])

    def jobs(self, stage: Stage) -> list[Job]:
        """Return the jobs of a stage, each of which waits for the one before it."""
        if stage.name in TRAINED:
            return [self._training_job(stage)]
        if stage.name in SHARDED:
            return [self._shards_job(stage), self._merge_job(stage)]
        return [self._single_job(stage.name, stage.command, gpus=0)]

    def _training_job(self, stage: Stage) -> Job:
        environment = {
            "RUN_DIR": str(stage.folder),
            "GPUS_PER_NODE": str(self.gpus_per_node),
            "ACCELERATE_FILE": f"launch/accelerate/{self.accelerate}.yaml",
            "MAX_REQUEUES": self.site["SITE_MAX_REQUEUES"],
            "DATA_SET": stage.option("dataset_name"),
        }
        if stage.name == "grpo" and self.vllm_nodes:
            environment |= self._server_environment(stage)
        options = (
            *self._common_options(stage.name, "%j", self.gpus_per_node),
            f"--nodes={self.nodes}",
            "--ntasks-per-node=1",
            "--exclusive",
            "--mem=0",
            f"--signal=B:USR1@{self.site['SITE_SIGNAL_SECONDS']}",
        )
        return Job(
            stage.name, options, SCRIPTS / "train.sbatch", ("-m", *stage.command), environment
        )

    def _server_environment(self, stage: Stage) -> dict[str, str]:
        """Return what a job with a vLLM server needs besides.

        Raises:
            UserError: The split leaves nothing to train on, or a prompt's group would be cut.
        """
        if self.vllm_nodes != 1:
            raise UserError(
                f"VLLM_NODES={self.vllm_nodes}: TRL's trainer talks to one server, which stands on "
                "one node. Set VLLM_NODES=1, or 0 for vLLM beside every trainer."
            )
        if self.nodes <= self.vllm_nodes:
            raise UserError(
                f"NODES={self.nodes} with VLLM_NODES={self.vllm_nodes} leaves no node to train on: "
                f"set NODES={self.vllm_nodes + 1} or more, or VLLM_NODES=0."
            )
        if not 1 <= self.vllm_gpus <= self.gpus_per_node:
            raise UserError(
                f"VLLM_TP={self.vllm_gpus}: expected 1 to {self.gpus_per_node}, the GPUs of a node."
            )
        accumulation = int(stage.option("gradient_accumulation_steps") or 1)
        batch = GroupBatch(
            num_generations=int(stage.option("num_generations") or 8),
            per_device=int(stage.option("per_device_train_batch_size") or 8),
            accumulation=accumulation,
            steps_per_generation=int(stage.option("steps_per_generation") or accumulation),
            num_iterations=int(stage.option("num_iterations") or 1),
            n_processes=(self.nodes - self.vllm_nodes) * self.gpus_per_node,
        )
        reasons = explain_batch(batch)
        if reasons:
            raise UserError(f"with VLLM_NODES={self.vllm_nodes}: {reasons[0]}")
        return {
            "VLLM_NODES": str(self.vllm_nodes),
            "VLLM_TP": str(self.vllm_gpus),
            "GRPO_CONFIG": stage.command[stage.command.index("--config") + 1],
            "GRPO_MODEL": stage.option("model_name_or_path"),
        }

    def _shards_job(self, stage: Stage) -> Job:
        n_shards = self.nodes * self.gpus_per_node
        options = (
            *self._common_options(stage.name, "%A_%a", gpus=1),
            "--nodes=1",
            "--ntasks=1",
            f"--array=0-{n_shards - 1}",
        )
        command = (*stage.command, "--num_shards", str(n_shards))
        environment = {"MAX_REQUEUES": self.site["SITE_MAX_REQUEUES"]}
        return Job(stage.name, options, SCRIPTS / "shard.sbatch", command, environment)

    def _merge_job(self, stage: Stage) -> Job:
        """Return the job that finds all rows answered and sums up."""
        return self._single_job(f"{stage.name}-merge", stage.command, gpus=0)

    def _single_job(self, part: str, command: tuple[str, ...], gpus: int) -> Job:
        options = (*self._common_options(part, "%j", gpus), "--nodes=1", "--ntasks=1")
        return Job(part, options, SCRIPTS / "single.sbatch", command, {})

    def _common_options(self, part: str, number: str, gpus: int) -> tuple[str, ...]:
        site = self.site
        log = self.run_dir / "logs" / f"{part}-{number}.out"
        named = {
            "job-name": f"{self.run_dir.name}-{part}",
            "output": str(log),
            "partition": site["SITE_PARTITION"],
            "account": site["SITE_ACCOUNT"],
            "qos": site["SITE_QOS"],
            "time": site["SITE_TIME"],
            "cpus-per-task": str(int(site["SITE_CPUS_PER_GPU"]) * max(1, gpus)),
            # Jobs whose predecessor failed would otherwise wait in the queue for ever.
            "kill-on-invalid-dep": "yes",
        }
        if gpus:
            kind = f"{site['SITE_GPU_TYPE']}:" if site["SITE_GPU_TYPE"] else ""
            named["gpus-per-node"] = f"{kind}{gpus}"
        options = [f"--{key}={value}" for key, value in named.items() if value]
        return (*options, *shlex.split(site["SITE_SBATCH_OPTIONS"]))


def submit(
    submission: Submission, stages: list[Stage], *, after: str | None, dry_run: bool
) -> None:
    """Submit the stages as a chain, each job after the one before it has ended well."""
    for stage in stages:
        if stage.whole:
            print(f"{stage.name}: whole ({stage.last_file}), passed over")
            continue
        for job in submission.jobs(stage):
            after = _submit_job(submission.run_dir, job, after, dry_run)


def _submit_job(run_dir: Path, job: Job, after: str | None, dry_run: bool) -> str:
    """Submit one job, or print it; return its number, or a stand-in for one."""
    dependency = (f"--dependency=afterok:{after}",) if after else ()
    job = Job(job.part, (*job.options, *dependency), job.script, job.command, job.environment)
    if dry_run:
        print(f"{shlex.join(job.sbatch())}\n")
        print("\n".join(f"    {line}" for line in job.script.read_text().splitlines()) + "\n")
        return f"<{job.part}>"
    running = read_jobs(run_dir).get(job.part)
    if running and is_alive(running):
        print(f"{job.part}: job {running} is already in the queue")
        return running
    (run_dir / "logs").mkdir(parents=True, exist_ok=True)
    job_id = run_slurm(job.sbatch()).split(";")[0]  # "id;cluster" where there are several
    remember_job(run_dir, job.part, job_id)
    print(f"{job.part}: job {job_id}")
    return job_id


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m launch.submit", description=__doc__)
    parser.add_argument("what", choices=(*STAGES, "pipeline"), help="a stage, or all in a chain")
    parser.add_argument("--config_name", required=True, help="folder of recipes/configs")
    parser.add_argument("--run_dir", type=Path, help="default: runs/<config>")
    parser.add_argument("--nodes", type=int, default=1, help="of a training job")
    parser.add_argument("--accelerate", default="multi_gpu", help="file of launch/accelerate")
    parser.add_argument(
        "--vllm_nodes",
        type=int,
        default=0,
        help="GRPO: of the nodes, those that serve completions (0 or 1; not run on a GPU yet)",
    )
    parser.add_argument("--vllm_gpus", type=int, default=4, help="GPUs of that server's model")
    parser.add_argument("--after", help="a job that must have ended well before")
    parser.add_argument("--dry_run", action="store_true", help="print, submit nothing")
    parser.add_argument("--args", default="", help="further options of the stage, in one string")
    args = parser.parse_args()
    if args.nodes < 1:
        raise UserError(f"--nodes is {args.nodes}; expected 1 or more.")
    if args.what == "pipeline" and args.args:
        raise UserError("further options belong to one stage: put them into a configuration.")
    if not Path(f"launch/accelerate/{args.accelerate}.yaml").is_file():
        there = sorted(path.stem for path in Path("launch/accelerate").glob("*.yaml"))
        raise UserError(f"there is no launch/accelerate/{args.accelerate}.yaml; there are {there}.")
    return args


def main() -> None:
    """Submit what the command line asks for."""
    args = parse_arguments()
    run_dir = args.run_dir or Path("runs") / args.config_name
    names = STAGES if args.what == "pipeline" else (args.what,)
    words = tuple(shlex.split(args.args))
    stages = [make_stage(name, args.config_name, run_dir, words) for name in names]
    submission = Submission(
        args.config_name,
        run_dir,
        args.nodes,
        args.accelerate,
        read_site(),
        args.vllm_nodes,
        args.vllm_gpus,
    )
    submit(submission, stages, after=args.after, dry_run=args.dry_run)


if __name__ == "__main__":
    run_cli(main)
