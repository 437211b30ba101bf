# `make` lists the verbs. README.md and .ci/run call the same ones.
#
# Variables, for instance: make sft CONFIG=demo ARGS="--learning_rate 5e-4"
#   CONFIG       folder under recipes/configs: demo (default), smoke, ...
#   ARGS         further options, passed on as they are
#   MODEL DATA   checkpoint and data set instead of the configuration's (sft, filter, grpo, eval)
#   ACCELERATE   file under launch/accelerate (sft, grpo); default: by the number of GPUs
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CONFIG ?= demo
CONFIGS := recipes/configs/$(CONFIG)
PY := .venv/bin/python
N_GPUS := $(shell nvidia-smi -L 2>/dev/null | grep -c '^GPU')
ACCELERATE ?= $(if $(filter 0,$(N_GPUS)),cpu,$(if $(filter 1,$(N_GPUS)),single_gpu,multi_gpu))
# The files for several GPUs leave the number of processes open: one for each GPU of this machine.
ONE_A_GPU = $(if $(filter multi_gpu fsdp2 zero2 zero3,$(ACCELERATE)),--num_processes $(N_GPUS))
RUN_HERE = .venv/bin/accelerate launch --quiet --config_file launch/accelerate/$(ACCELERATE).yaml $(ONE_A_GPU)
# LAUNCH=slurm submits instead of running here: NODES, RUN (folder of the run), DRY_RUN=1 prints only.
LAUNCH ?= local
# VLLM_NODES=1: GRPO's last node serves completions on VLLM_TP GPUs, the others train.
NODES ?= 1
VLLM_NODES ?= 0
VLLM_TP ?= 4
SUBMIT = $(PY) -m launch.submit $@ --config_name $(CONFIG) --nodes $(NODES) --vllm_nodes $(VLLM_NODES) --vllm_gpus $(VLLM_TP) $(if $(RUN),--run_dir $(RUN)) \
	--accelerate $(if $(filter file,$(origin ACCELERATE)),multi_gpu,$(ACCELERATE)) \
	$(if $(filter 1,$(DRY_RUN)),--dry_run) $(if $(strip $(CHOICES) $(ARGS)),--args "$(strip $(CHOICES) $(ARGS))")
CHOICES = $(if $(MODEL),--model_name_or_path $(MODEL)) $(if $(DATA),--dataset_name $(DATA))

# The demo, its controls and the smoke runs have all they need in the repository: nothing may ask a hub.
ifneq ($(filter demo smoke controls/% variants/%,$(CONFIG)),)
export HF_HUB_OFFLINE ?= 1
endif
export WANDB_MODE ?= offline
export TOKENIZERS_PARALLELISM ?= false
# vLLM's CPU sampler calls torch.compile whatever `enforce_eager` says: 9 s at the first batch, and a failure
# where there is no C++ compiler. Nothing here is faster for it on a CPU.
ifeq ($(N_GPUS),0)
export TORCHDYNAMO_DISABLE ?= 1
endif

.PHONY: help setup data bench-data check sft filter grpo eval pipeline status cancel bench-eval bench-train score compare report demo demo-base \
        test test-unit test-slurm smoke lint format typecheck

help:  ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup:  ## make .venv with the pinned versions (every verb below does it when needed)
	@launch/setup.sh

data: setup  ## the configuration's data sets; CONFIG=demo: the embedded one, to data/demo/{sft,rl,test}
	$(if $(filter slurm,$(LAUNCH)),$(SUBMIT),$(PY) -m data_prep $(if $(wildcard $(CONFIGS)/data.yaml),all --config $(CONFIGS)/data.yaml,demo --output_dir data/demo) $(ARGS))

bench-data: setup  ## how fast data sets are built, beside imagefolder and a plain copy (ARGS)
	$(PY) -m data_prep.bench $(ARGS)

check: setup  ## what a configuration would do and cost, without a GPU (CONFIG, STAGE, PROCESSES, ACCELERATE, MODEL, DATA)
	@$(PY) -m recipes.check --config_name $(CONFIG) --n_processes $(or $(PROCESSES),1) \
	  $(if $(STAGE),--stage $(STAGE)) $(if $(MODEL),--model $(MODEL)) $(if $(DATA),--dataset $(DATA)) \
	  $(if $(filter-out file,$(origin ACCELERATE)),--accelerate $(ACCELERATE)) $(ARGS)

sft: setup  ## stage 1, supervised fine-tuning (CONFIG, MODEL, DATA, ARGS, ACCELERATE)
	$(if $(filter slurm,$(LAUNCH)),$(SUBMIT),$(RUN_HERE) -m recipes.sft --config $(CONFIGS)/sft.yaml $(CHOICES) $(ARGS))

filter: setup  ## keep the RL rows that are not always answered right (CONFIG, MODEL, DATA, ARGS)
	$(if $(filter slurm,$(LAUNCH)),$(SUBMIT),$(PY) -m recipes.filter --config $(CONFIGS)/filter.yaml $(CHOICES) $(ARGS))

grpo: setup  ## stage 2, reinforcement learning (CONFIG, MODEL, DATA, ARGS, ACCELERATE)
	$(if $(filter slurm,$(LAUNCH)),$(SUBMIT),$(RUN_HERE) -m recipes.grpo --config $(CONFIGS)/grpo.yaml $(CHOICES) $(ARGS))

eval: setup  ## predictions, metrics, tables, figures and report of a checkpoint or endpoint (CONFIG, MODEL, DATA, ARGS)
	$(if $(filter slurm,$(LAUNCH)),$(SUBMIT),$(PY) -m recipes.eval --config $(CONFIGS)/eval.yaml $(CHOICES) $(ARGS))

pipeline: setup  ## submit data, SFT, filter, GRPO, evaluation to Slurm as a chain (CONFIG, NODES, RUN, DRY_RUN)
	$(SUBMIT)

status: setup  ## where a submitted run stands (CONFIG, RUN)
	@$(PY) -m launch.status --config_name $(CONFIG) $(if $(RUN),--run_dir $(RUN))

cancel: setup  ## end the jobs of a submitted run (CONFIG, RUN)
	@$(PY) -m launch.status --cancel --config_name $(CONFIG) $(if $(RUN),--run_dir $(RUN))

bench-eval: setup  ## images a second of the evaluation, beside plain transformers (CONFIG, MODEL, DATA, ARGS)
	$(PY) -m recipes.bench_eval --config $(CONFIGS)/bench_eval.yaml $(CHOICES) $(ARGS)

bench-train: setup  ## SFT samples/s and GRPO steps/s, beside TRL's example scripts (CONFIG, ARGS; --gpu true)
	$(PY) -m recipes.bench_train --config $(CONFIGS)/bench_train.yaml $(ARGS)

score: setup  ## metrics from a predictions file (PREDICTIONS, OUT)
	@$(if $(and $(PREDICTIONS),$(OUT)),,echo "error: make score PREDICTIONS=<file.jsonl> OUT=<folder>" >&2; exit 2)
	$(PY) -m rewards $(PREDICTIONS) --output_dir $(OUT) $(ARGS)

compare: setup  ## runs against each other on the same questions (RUNS="folder folder …", OUT)
	@$(if $(and $(RUNS),$(OUT)),,echo 'error: make compare RUNS="<folder> <folder> …" OUT=<folder>' >&2; exit 2)
	$(PY) -m rewards.compare $(RUNS) --output_dir $(OUT) $(ARGS)

report: setup  ## figures and one self-contained HTML page of an evaluation (RUN, RUNS to put beside it)
	@$(if $(RUN),,echo "error: make report RUN=<evaluation folder> [RUNS=\"<more> <folders>\"]" >&2; exit 2)
	$(PY) -m recipes.report $(RUN) $(RUNS)

demo: setup  ## every stage in order, goes on where it was, ends with the table (CONFIG=demo or smoke)
	$(PY) -m recipes.demo --config_name $(CONFIG) $(ARGS)

demo-base: setup  ## pre-train the demo's base model again (about an hour; fetches photographs with apt-get)
	$(PY) -m recipes.demo_base --config recipes/configs/demo/base.yaml $(ARGS)

test: setup  ## unit tests and smoke runs; ARGS="-m gpu" for the tests that need a GPU
	$(PY) -m pytest -q -m "not gpu and not slurm" $(ARGS)

test-unit: setup  ## unit tests alone
	$(PY) -m pytest -q -m "not gpu and not smoke and not slurm" $(ARGS)

smoke: setup  ## smoke runs alone: the real command lines, a few steps each
	$(PY) -m pytest -q -m "smoke and not gpu" $(ARGS)

test-slurm: setup  ## the launch scripts on a real Slurm that is started here (root; installs slurm-wlm)
	@launch/install_slurm.sh
	REQUIRE_SLURM=1 $(PY) -m pytest -q -m slurm $(ARGS)

lint: setup  ## ruff: rules and formatting
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

format: setup  ## ruff: fix what it can, format
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

typecheck: setup  ## pyright
	.venv/bin/pyright
