"""The shipped job scripts on a real Slurm; the stages are stubs, so that a test takes seconds."""

import json

import pytest

from tests.slurm.conftest import wait_for

pytestmark = pytest.mark.slurm

# Writes the stage's last file; the arguments are those of the recipe.
FINISHES = r"""
stage=$1
[[ ! -f fails-$stage ]] || { echo "error: $stage has a bad row" >&2; exit 3; }
while [[ $1 != --output_dir ]]; do shift; done
mkdir -p "$2"
echo "$(date +%s.%N) $2 $*" >>order
echo "$SLURM_NODEID of $SLURM_NNODES, $N_PROCESSES processes, head $HEAD_NODE" >>"$2/ran"
case "$2 $*" in
    *--shard_index*) touch "$2/shard-${*: -1}"; sleep 0.2 ;;
    data/*) mkdir -p "$2/test" && touch "$2/test/README.md" ;;
    */eval/*) echo '{}' >"$2/metrics.json" ;;
    *) echo '{}' >"$2/summary.json" ;;
esac
"""
# A trainer that is asked to stop saves and says so; started again, it finishes.
STOPS_WHEN_ASKED = r"""
while [[ $1 != --output_dir ]]; do shift; done
mkdir -p "$2"
echo "start ${SLURM_RESTART_COUNT:-0}" >>"$2/starts"
save() { sleep 1; echo '{"step": 5}' >"$2/interrupted.json"; exit 0; }
trap 'save "" "$2"' USR1
if [[ ${SLURM_RESTART_COUNT:-0} == 0 || -f never_finish ]]; then
    touch "$2/running"
    for _ in {1..300}; do sleep 0.1; done
fi
echo '{}' >"$2/summary.json"
"""


def test_training_runs_once_on_every_node_with_one_head(make_project) -> None:
    project = make_project(FINISHES)
    job = project.jobs(project.make("sft", "CONFIG=demo", "LAUNCH=slurm", "NODES=2"))["sft"]
    assert project.cluster.wait(job, 60) == "COMPLETED", project.log("runs/demo", "sft")
    ran = sorted((project.root / "runs/demo/sft/ran").read_text().splitlines())
    assert ran == [f"{i} of 2, 2 processes, head n1" for i in range(2)]


def test_a_whole_stage_is_passed_over(make_project) -> None:
    project = make_project(FINISHES)
    folder = project.root / "runs/demo/sft"
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text("{}")
    printed = project.make("sft", "CONFIG=demo", "LAUNCH=slurm")
    assert "passed over" in printed
    assert project.jobs(printed) == {}


def test_a_stage_in_the_queue_is_not_submitted_twice(make_project) -> None:
    project = make_project(STOPS_WHEN_ASKED)
    first = project.jobs(project.make("sft", "CONFIG=demo", "LAUNCH=slurm"))
    again = project.make("sft", "CONFIG=demo", "LAUNCH=slurm")
    assert f"job {first['sft']} is already in the queue" in again


def test_a_job_told_to_stop_saves_goes_back_into_the_queue_and_finishes(make_project) -> None:
    project = make_project(STOPS_WHEN_ASKED)
    job = project.jobs(project.make("grpo", "CONFIG=demo", "LAUNCH=slurm", "NODES=2"))["grpo"]
    wait_for((project.root / "runs/demo/grpo/running").exists)
    project.cluster.run(["scancel", "--signal=USR1", "--batch", job], cwd=project.root)
    assert project.cluster.wait(job, 90) == "COMPLETED", project.log("runs/demo", "grpo")
    starts = (project.root / "runs/demo/grpo/starts").read_text().split("\n")
    assert starts[:4] == ["start 0", "start 0", "start 1", "start 1"]
    assert "back into the queue" in project.log("runs/demo", "grpo")


def test_a_preempted_job_saves_and_finishes_later(make_project) -> None:
    project = make_project(STOPS_WHEN_ASKED)
    job = project.jobs(project.make("sft", "CONFIG=demo", "LAUNCH=slurm", "NODES=2"))["sft"]
    wait_for((project.root / "runs/demo/sft/running").exists)
    high = ["sbatch", "--parsable", "-p", "high", "-N2", "--exclusive", "--wrap", "sleep 2"]
    project.cluster.run(high, cwd=project.root)
    assert project.cluster.wait(job, 120) == "COMPLETED", project.log("runs/demo", "sft")
    assert int(project.cluster.job(job)["Restarts"]) >= 1


def test_requeueing_ends_at_the_stated_number(make_project) -> None:
    project = make_project(STOPS_WHEN_ASKED)
    (project.root / "never_finish").touch()
    printed = project.make("sft", "CONFIG=demo", "LAUNCH=slurm", SITE_MAX_REQUEUES="0")
    job = project.jobs(printed)["sft"]
    wait_for((project.root / "runs/demo/sft/running").exists)
    project.cluster.run(["scancel", "--signal=USR1", "--batch", job], cwd=project.root)
    assert project.cluster.wait(job, 60) == "FAILED"
    assert "SITE_MAX_REQUEUES" in project.log("runs/demo", "sft")


def test_a_stage_that_fails_is_not_requeued_and_status_says_why(make_project) -> None:
    project = make_project("echo 'error: the loss is not a number' >&2; exit 3")
    job = project.jobs(project.make("sft", "CONFIG=demo", "LAUNCH=slurm"))["sft"]
    assert project.cluster.wait(job, 60) == "FAILED"
    assert project.cluster.job(job)["Restarts"] == "0"
    status = project.make("status", "CONFIG=demo")
    assert "FAILED" in status
    assert "the loss is not a number" in status


def test_status_shows_step_pace_loss_and_reward(make_project) -> None:
    project = make_project(FINISHES)
    folder = project.root / "runs/demo/grpo"
    folder.mkdir(parents=True)
    records = [
        {"step": i, "max_steps": 120, "time": 1000.0 + 60 * i, "loss": 0.5, "reward": i / 10}
        for i in (1, 2, 3)
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    line = next(x for x in project.make("status", "CONFIG=demo").splitlines() if x[:4] == "grpo")
    assert line.split()[3:] == ["3/120", "1", "h", "57", "min", "0.5", "0.3", "-", "-"]


def test_cancel_ends_the_jobs(make_project) -> None:
    project = make_project(STOPS_WHEN_ASKED)
    job = project.jobs(project.make("sft", "CONFIG=demo", "LAUNCH=slurm"))["sft"]
    wait_for((project.root / "runs/demo/sft/running").exists)
    assert job in project.make("cancel", "CONFIG=demo")
    assert project.cluster.wait(job, 60) == "CANCELLED"


def test_dry_run_prints_line_and_script_and_submits_nothing(make_project) -> None:
    project = make_project(FINISHES)
    printed = project.make("sft", "CONFIG=demo", "LAUNCH=slurm", "NODES=2", "DRY_RUN=1")
    assert "sbatch --parsable" in printed
    assert "--nodes=2" in printed
    assert "srun --export=ALL" in printed
    assert not (project.root / "runs").exists()


# The server answers /health; the first one dies once the trainers are there.
TRAINERS_NEED_A_SERVER = r"""
while [[ $1 != --output_dir ]]; do shift; done
mkdir -p "$2"
echo "$*" >>"$2/starts"
for _ in {1..300}; do [[ -f second-server ]] && break; sleep 0.1; done
[[ ! -f second-server ]] || echo '{}' >"$2/summary.json"
"""
SERVER = """
import http.server, pathlib, socket, sys, threading, time
port = int(sys.argv[sys.argv.index("--port") + 1])
pathlib.Path("server-host").write_text(socket.gethostname())
first = not pathlib.Path("first-server").exists()
pathlib.Path("first-server" if first else "second-server").touch()
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
server = http.server.HTTPServer(("", port), Health)
threading.Thread(target=server.serve_forever, daemon=True).start()
while not (first and pathlib.Path("runs/demo/grpo/starts").exists()):
    time.sleep(0.1)
sys.exit(1)
"""


def test_grpo_with_a_server_node_outlives_the_server(make_project) -> None:
    project = make_project(TRAINERS_NEED_A_SERVER)
    (project.root / "launch/vllm_server.py").write_text(SERVER)
    words = ("grpo", "CONFIG=demo", "LAUNCH=slurm", "NODES=2", "VLLM_NODES=1", "VLLM_TP=1")
    job = project.jobs(project.make(*words))["grpo"]
    assert project.cluster.wait(job, 90) == "COMPLETED", project.log("runs/demo", "grpo")
    assert (project.root / "server-host").read_text() == "n2"
    starts = (project.root / "runs/demo/grpo/starts").read_text().splitlines()
    assert len(starts) == 2
    assert all("--vllm_mode server --vllm_server_host n2 " in start for start in starts)
    assert "the vLLM server died (start 1 of 3)" in project.log("runs/demo", "grpo")


PIPELINE = ("pipeline", "CONFIG=demo", "LAUNCH=slurm", "NODES=1")


def test_the_pipeline_is_a_chain_whose_whole_stages_are_passed_over(make_project) -> None:
    project = make_project(FINISHES)
    jobs = project.jobs(project.make(*PIPELINE))
    parts = ["data", "sft", "filter", "filter-merge", "grpo", "eval", "eval-merge"]
    assert list(jobs) == parts
    assert project.cluster.wait(jobs["eval-merge"], 120) == "COMPLETED", project.make("status")
    order = [line.split()[1] for line in (project.root / "order").read_text().splitlines()]
    folders = ["data/demo", "runs/demo/sft", "runs/demo/filter", "runs/demo/filter"]
    assert order == [*folders, "runs/demo/grpo", "runs/demo/eval/rl", "runs/demo/eval/rl"]
    assert project.make(*PIPELINE).count("passed over") == 5


def test_a_stage_that_fails_ends_the_chain_and_status_says_which_and_why(make_project) -> None:
    project = make_project(FINISHES)
    (project.root / "fails-recipes.filter").touch()
    jobs = project.jobs(project.make(*PIPELINE))
    assert project.cluster.wait(jobs["filter"], 120) == "FAILED"
    assert project.cluster.wait(jobs["eval-merge"], 60) == "CANCELLED"
    assert not (project.root / "runs/demo/grpo").exists()
    status = project.make("status", "CONFIG=demo")
    line = next(x for x in status.splitlines() if x.startswith("filter "))
    assert "FAILED" in line
    assert "error: recipes.filter has a bad row" in status


def test_two_pipelines_at_once_do_not_disturb_each_other(make_project) -> None:
    project = make_project(FINISHES)
    runs = [project.jobs(project.make(*PIPELINE, f"RUN=runs/{name}")) for name in "ab"]
    for jobs in runs:
        assert project.cluster.wait(jobs["eval-merge"], 180) == "COMPLETED"
    for name in "ab":
        ran = (project.root / f"runs/{name}/sft/ran").read_text().splitlines()
        assert len(ran) == 1


# The first start of the last shard is killed, as by a node that runs out of memory; the last task
# of an array has the array's own job number.
ONE_SHARD_IS_KILLED = r"""
while [[ $1 != --output_dir ]]; do shift; done
mkdir -p "$2"
shard=${*: -1}
[[ $* == *--shard_index* ]] || { echo '{}' >"$2/summary.json"; exit; }
echo "$shard" >>"$2/starts"
if [[ $shard == 2 && ${SLURM_RESTART_COUNT:-0} == 0 ]]; then kill -KILL $$; fi
touch "$2/shard-$shard"
"""


def test_a_shard_that_is_killed_is_run_again_alone(make_project) -> None:
    project = make_project(ONE_SHARD_IS_KILLED)
    jobs = project.jobs(project.make("filter", "CONFIG=demo", "LAUNCH=slurm", "NODES=3"))
    assert project.cluster.wait(jobs["filter-merge"], 120) == "COMPLETED"
    starts = (project.root / "runs/demo/filter/starts").read_text().split()
    assert sorted(starts) == ["0", "1", "2", "2"]
    assert (project.root / "runs/demo/filter/summary.json").is_file()
