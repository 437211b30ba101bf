"""Check one stage: everything that is known of it, as plain JSON."""

from pathlib import Path
from typing import Any

import numpy as np

from recipes.budget.assumptions import Assumptions
from recipes.budget.costs import RowTokens
from recipes.budget.gpus import Gpu
from recipes.budget.tokens import describe, histogram
from recipes.checks import rules
from recipes.checks.costs import sample_report, train_report
from recipes.checks.data import scan_data
from recipes.checks.findings import ERROR, WARNING, Findings
from recipes.checks.model import Measured, measure
from recipes.checks.scan import Scan
from recipes.checks.settings import Settings
from rewards import QUESTION_BANKS
from rewards.errors import UserError

Report = dict[str, Any]


def check_stage(
    settings: Settings,
    gpu: Gpu,
    assumed: Assumptions,
    max_rows: int | None,
    max_images: int,
    findings: Findings,
) -> Report:
    """Return what is known of a stage; what is wrong goes to ``findings``."""
    report: Report = {
        "stage": settings.stage,
        "model": settings.model,
        "dataset": settings.dataset,
        "n_processes": settings.n_processes,
        "sharding": settings.placement and settings.placement.sharding,
    }
    if settings.placement is not None:
        rules.check_precision(settings, findings)
        rules.check_adapters(settings, findings)
    try:
        measured = measure(settings, findings)
    except UserError as error:
        findings.add(ERROR, str(error))
        return report
    report["parameters"] = {
        **measured.size.n_parameters,
        "total": measured.size.total,
        "trainable": measured.size.trainable,
        "source": measured.size.source,
    }
    found = scan_data(
        settings.stage,
        settings.dataset,
        settings.split,
        measured.text,
        max_rows,
        max_images,
        findings,
    )
    if found is None or not found[0].n_rows:
        return report
    scan, n_rows = found
    report["rows"] = {
        "total": n_rows,
        "looked_at": scan.n_rows,
        "labels": dict(scan.labels),
        "banks": dict(scan.banks),
        "bad_gold_answers": dict(scan.faults),
    }
    tokens = _row_tokens(settings, measured, scan, assumed, findings)
    answers = scan.answer_tokens
    report["tokens"] = _token_report(tokens, measured, scan)
    report["limits"] = rules.check_lengths(
        settings, measured.size, tokens.prompt, answers, findings
    )
    stage = train_report if settings.placement is not None else sample_report
    report |= stage(settings, measured, tokens, n_rows, gpu, assumed, findings)
    return report


def _row_tokens(
    settings: Settings,
    measured: Measured,
    scan: Scan,
    assumed: Assumptions,
    findings: Findings,
) -> RowTokens:
    """Return the tokens of the rows whose image size is known."""
    known = scan.known_sizes
    sizes = scan.sizes[known]
    patches, image = measured.images.count(sizes[:, 0], sizes[:, 1])
    if settings.stage == "eval" or not len(scan.prompt_tokens):
        text = _asked(settings, measured)[np.arange(len(image)) % len(QUESTION_BANKS)]
    else:
        text = scan.prompt_tokens[known]
    if len(scan.answer_tokens):
        answer = scan.answer_tokens[known]
    else:
        answer = np.full(len(image), assumed.answer_tokens)
        findings.add(
            WARNING,
            f"there are no gold answers: completions are taken to have {assumed.answer_tokens} "
            "tokens (answer_tokens).",
        )
    return RowTokens(prompt=text + image, answer=answer, patches=patches)


def _asked(settings: Settings, measured: Measured) -> Any:
    """Return the mean tokens of a prompt of each bank that the evaluation asks."""
    from data_prep.prompts import load_prompts

    prompts = load_prompts(settings.values.get("prompts_file"))
    means = []
    for bank in QUESTION_BANKS:
        counts = [
            measured.text.prompt(
                tuple((turn["role"], turn["content"]) for turn in prompts.messages(question))
            )
            for question in getattr(prompts, bank)
        ]
        means.append(round(sum(counts) / len(counts)))
    return np.array(means)


def _token_report(tokens: RowTokens, measured: Measured, scan: Scan) -> Report:
    total = tokens.prompt + tokens.answer
    tile = measured.size.vision.tile_patches
    return {
        "exact": measured.text.exact,
        "image_sizes_known": int(scan.known_sizes.sum()),
        "prompt": describe(tokens.prompt),
        "answer": describe(tokens.answer),
        "patches": describe(tokens.patches),
        "tiles": None if tile is None else describe(tokens.patches // tile),
        "row": describe(total),
        "histogram": histogram(total),
    }


def config_folder(name: str, configs: Path) -> Path:
    """Return a configuration's folder.

    Raises:
        UserError: There is none of that name.
    """
    folder = configs / name
    if not folder.is_dir():
        names = sorted(path.name for path in configs.iterdir() if path.is_dir())
        raise UserError(f"there is no configuration {name!r}; recipes/configs has {names}.")
    return folder
