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
# multi_gpu.yaml leaves the number of processes open: one for each GPU of this machine.
PROCESSES = $(if $(filter multi_gpu,$(ACCELERATE)),--num_processes $(N_GPUS))
LAUNCH = .venv/bin/accelerate launch --quiet --config_file launch/accelerate/$(ACCELERATE).yaml $(PROCESSES)
CHOICES = $(if $(MODEL),--model_name_or_path $(MODEL)) $(if $(DATA),--dataset_name $(DATA))

# The demo and the smoke runs have all they need in the repository: nothing may ask a hub.
ifneq ($(filter demo smoke,$(CONFIG)),)
export HF_HUB_OFFLINE ?= 1
endif
export WANDB_MODE ?= offline
export TOKENIZERS_PARALLELISM ?= false
# vLLM's CPU sampler calls torch.compile whatever `enforce_eager` says: 9 s at the first batch, and a failure
# where there is no C++ compiler. Nothing here is faster for it on a CPU.
ifeq ($(N_GPUS),0)
export TORCHDYNAMO_DISABLE ?= 1
endif

.PHONY: help setup data bench-data sft filter grpo eval score demo demo-base \
        test test-unit smoke lint format typecheck

help:  ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup:  ## make .venv with the pinned versions (every verb below does it when needed)
	@launch/setup.sh

data: setup  ## the configuration's data sets; CONFIG=demo: the embedded one, to data/demo/{sft,rl,test}
	$(PY) -m data_prep $(if $(wildcard $(CONFIGS)/data.yaml),all --config $(CONFIGS)/data.yaml,demo --output_dir data/demo) $(ARGS)

bench-data: setup  ## how fast data sets are built, beside imagefolder and a plain copy (ARGS)
	$(PY) -m data_prep.bench $(ARGS)

sft: setup  ## stage 1, supervised fine-tuning (CONFIG, MODEL, DATA, ARGS, ACCELERATE)
	$(LAUNCH) -m recipes.sft --config $(CONFIGS)/sft.yaml $(CHOICES) $(ARGS)

filter: setup  ## keep the RL rows that are not always answered right (CONFIG, MODEL, DATA, ARGS)
	$(PY) -m recipes.filter --config $(CONFIGS)/filter.yaml $(CHOICES) $(ARGS)

grpo: setup  ## stage 2, reinforcement learning (CONFIG, MODEL, DATA, ARGS, ACCELERATE)
	$(LAUNCH) -m recipes.grpo --config $(CONFIGS)/grpo.yaml $(CHOICES) $(ARGS)

eval: setup  ## predictions, metrics, table and figure of a checkpoint (CONFIG, MODEL, DATA, ARGS)
	$(PY) -m recipes.eval --config $(CONFIGS)/eval.yaml $(CHOICES) $(ARGS)

score: setup  ## metrics from a predictions file (PREDICTIONS, OUT)
	@$(if $(and $(PREDICTIONS),$(OUT)),,echo "error: make score PREDICTIONS=<file.jsonl> OUT=<folder>" >&2; exit 2)
	$(PY) -m rewards $(PREDICTIONS) --output_dir $(OUT) $(ARGS)

demo: setup  ## every stage in order, goes on where it was, ends with the table (CONFIG=demo or smoke)
	$(PY) -m recipes.demo --config_name $(CONFIG) $(ARGS)

demo-base: setup  ## pre-train the demo's base model again (about an hour; fetches photographs with apt-get)
	$(PY) -m recipes.demo_base --config recipes/configs/demo/base.yaml $(ARGS)

test: setup  ## unit tests and smoke runs; ARGS="-m gpu" for the tests that need a GPU
	$(PY) -m pytest -q -m "not gpu" $(ARGS)

test-unit: setup  ## unit tests alone
	$(PY) -m pytest -q -m "not gpu and not smoke" $(ARGS)

smoke: setup  ## smoke runs alone: the real command lines, a few steps each
	$(PY) -m pytest -q -m "smoke and not gpu" $(ARGS)

lint: setup  ## ruff: rules and formatting
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

format: setup  ## ruff: fix what it can, format
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

typecheck: setup  ## pyright
	.venv/bin/pyright
