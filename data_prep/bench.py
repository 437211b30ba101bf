"""How fast data sets are built: ``make bench-data`` (some five minutes on 2 cores).

    python -m data_prep.bench speed     ours, what a user would do otherwise, and a plain copy
    python -m data_prep.bench growth    time and memory from 1,000 to 100,000 rows

Files are generated once, into ``build/bench_data``. Each contender runs in a fresh process on 2
cores; contenders take turns, so that a slow minute of the machine is nobody's. Ratios are taken
within a turn. Memory is the proportional set size of the process and its children, at its peak; CPU
time is all of theirs, imports included.
"""

import argparse
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image
from tqdm import tqdm

from data_prep.bench_contenders import CONTENDERS
from rewards.files import write_json, write_text

FOLDER = Path("build/bench_data")
RESULTS = Path(__file__).parent / "bench_results"
# The line that the targets are about: rows that hold the images, as ours do. Without embedding,
# `to_parquet` of datasets 5.2 writes paths alone and no byte of any image.
REFERENCE = "imagefolder, embedded"
PATHS_ALONE = "imagefolder"
N_FILES = 4000
N_TURNS = 5
GROWTH_ROWS = (1_000, 10_000, 100_000)
PAPER_ROWS = 1_834_000 + 94_188  # Fake-HR1, Sec. 3
POLL_S = 0.1


def texture(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Return noise of all scales, which JPEG compresses about as it does a photograph."""
    total = np.zeros((height, width, 3))
    for octave in range(1, 8):
        cells = 2**octave
        noise = rng.normal(0, 1, (cells, cells, 3)) * 90 / octave**1.3
        noise = Image.fromarray(np.clip(noise + 128, 0, 255).astype(np.uint8))
        total += np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC), float) - 128
    total += rng.normal(0, 4, (height, width, 1))
    return Image.fromarray(np.clip(total + 128, 0, 255).astype(np.uint8))


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def make_tree(tree: Path, n_files: int, *, large: bool) -> Path:
    """Make a tree in GenImage's layout: ImageNet's sizes and qualities, or tiny images."""
    if (tree / "complete").is_file():
        return tree
    shutil.rmtree(tree, ignore_errors=True)
    folders = [tree / "imagenet_ai_bench_sdv4" / "train" / name for name in ("ai", "nature")]
    for folder in folders:
        folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    textures = [texture(rng, 1000, 800) for _ in range(24)]
    tiny = _jpeg(textures[0].resize((64, 64)), 90)
    for number in tqdm(range(n_files), desc=f"making {tree}"):
        if large:
            width, height = (500, 375) if rng.random() < 0.7 else rng.integers(250, 640, 2).tolist()
            x, y = int(rng.integers(1000 - width)), int(rng.integers(800 - height))
            crop = textures[number % len(textures)].crop((x, y, x + width, y + height))
            data = _jpeg(crop, 96 if rng.random() < 0.7 else int(rng.integers(75, 96)))
        else:  # a comment makes each file another one
            data = tiny[:2] + b"\xff\xfe\x00\x0a" + f"{number:08d}".encode() + tiny[2:]
        (folders[number % 2] / f"{number}_sdv4_{number:06d}.jpg").write_bytes(data)
    (tree / "complete").touch()
    return tree


def run_one(name: str, tree: Path) -> dict[str, float]:
    """Run a contender in a fresh process; return its seconds and peak megabytes."""
    out = FOLDER / "out"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    command = [sys.executable, "-m", "data_prep.bench_contenders", name, str(tree), str(out)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        peak, cpu = [0.0], dict[int, float]()
        watch = threading.Thread(target=_watch, args=(process.pid, peak, cpu), daemon=True)
        watch.start()
        stdout, stderr = process.communicate()
        watch.join()
    if process.returncode:
        sys.exit(f"{name} failed:\n{stderr[-2000:]}")
    seconds = json.loads(stdout.splitlines()[-1])["seconds"]
    n_bytes = sum(p.stat().st_size for p in out.rglob("*") if p.suffix in ("", ".parquet"))
    shutil.rmtree(out)
    return {
        "seconds": seconds,
        "cpu_s": sum(cpu.values()),
        "peak_mb": peak[0],
        "written_mb": n_bytes / 1e6,
    }


def _watch(pid: int, peak: list[float], cpu: dict[int, float]) -> None:
    """Keep the highest memory of a process and its children, and the last CPU time of each."""
    while psutil.pid_exists(pid):
        total = 0
        try:
            parent = psutil.Process(pid)
            for process in (parent, *parent.children(recursive=True)):
                total += process.memory_full_info().pss
                times = process.cpu_times()
                cpu[process.pid] = times.user + times.system
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            if not psutil.pid_exists(pid):
                return
        peak[0] = max(peak[0], total / 1e6)
        time.sleep(POLL_S)


def speed(n_files: int, n_turns: int) -> None:
    """Print and save the table of all contenders."""
    tree = make_tree(FOLDER / f"tree_{n_files}", n_files, large=True)
    files = list(tree.rglob("*.jpg"))
    total_mb = sum(path.stat().st_size for path in files) / 1e6
    for path in files:  # all contenders find the files in the page cache
        path.read_bytes()
    names = list(CONTENDERS)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for turn in range(n_turns):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            runs[name].append(run_one(name, tree))
            print(f"turn {turn}: {name}: {runs[name][-1]}", file=sys.stderr, flush=True)
    turns = f"{n_turns} turn{'s' if n_turns > 1 else ''}"
    title = f"{n_files} JPEG files, {total_mb:.0f} MB, {turns}, {machine()}"
    text = f"{title}\n\n{speed_table(runs, n_files)}"
    write_json(RESULTS / "speed.json", {"title": title, "runs": runs})
    write_text(RESULTS / "speed.md", text)
    print(text)


def speed_table(runs: dict[str, list[dict[str, float]]], n_files: int) -> str:
    """Return the Markdown table: medians, and the median and range of the ratios in a turn."""
    lines = [
        f"| | images/s | times as fast as {REFERENCE} | as {PATHS_ALONE}, paths alone "
        "| of a plain copy | CPU ms an image | peak MB | written MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, own in runs.items():
        seconds = statistics.median(run["seconds"] for run in own)
        ratios, of_paths, of_copy = (
            [o["seconds"] / r["seconds"] for o, r in zip(runs[other], own, strict=True)]
            for other in (REFERENCE, PATHS_ALONE, "byte copy")
        )
        lines.append(
            f"| {name} | {n_files / seconds:,.0f} | {_spread(ratios)} | {_spread(of_paths)} "
            f"| {statistics.median(of_copy):.3f} "
            f"| {1e3 * statistics.median(run['cpu_s'] for run in own) / n_files:.2f} "
            f"| {max(run['peak_mb'] for run in own):,.0f} | {own[0]['written_mb']:,.0f} |"
        )
    return "\n".join(lines) + "\n"


def _spread(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def growth(sizes: Sequence[int]) -> None:
    """Measure and draw how time and memory grow with the number of rows (tiny images)."""
    names = ("ours, header", "ours, full")
    points: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for n_rows in sizes:
        tree = make_tree(FOLDER / f"tiny_{n_rows}", n_rows, large=False)
        for name in names:
            points[name].append({"n_rows": n_rows, **run_one(name, tree)})
            print(points[name][-1], file=sys.stderr, flush=True)
    title = f"64 x 64 JPEG images, {machine()}"
    lines = ["| | rows | seconds | rows/s | CPU s | peak MB |", "|---|---:|---:|---:|---:|---:|"]
    for name, own in points.items():
        for p in own:
            rate = p["n_rows"] / p["seconds"]
            lines.append(
                f"| {name} | {p['n_rows']:,} | {p['seconds']:.1f} | {rate:,.0f} "
                f"| {p['cpu_s']:.1f} | {p['peak_mb']:,.0f} |"
            )
        lines.append(f"| {name}, extrapolated | {PAPER_ROWS:,} | {extrapolated(own):,.0f} | | | |")
    text = f"{title}\n\n" + "\n".join(lines) + "\n"
    write_json(RESULTS / "growth.json", {"title": title, "points": points})
    write_text(RESULTS / "growth.md", text)
    plot_growth(points, title, RESULTS / "growth.png")
    print(text)


def extrapolated(points: Sequence[dict[str, float]]) -> float:
    """Return the seconds for the paper's rows, by the slope between the two largest sizes."""
    first, last = points[-2:]
    slope = (last["seconds"] - first["seconds"]) / (last["n_rows"] - first["n_rows"])
    return last["seconds"] + slope * (PAPER_ROWS - last["n_rows"])


def plot_growth(points: dict[str, Any], title: str, path: Path) -> None:
    """Draw seconds and peak memory over rows, the extrapolation dashed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    time_axes, memory_axes = figure.subplots(1, 2)
    for name, own in points.items():
        rows = [p["n_rows"] for p in own]
        (line,) = time_axes.loglog(rows, [p["seconds"] for p in own], "o-", label=name)
        time_axes.loglog(
            [rows[-1], PAPER_ROWS],
            [own[-1]["seconds"], extrapolated(own)],
            *("--",),
            color=line.get_color(),
            label=f"{name}, extrapolated",
        )
        memory_axes.semilogx(rows, [p["peak_mb"] for p in own], "o-", label=name)
    memory_axes.axhline(2048, color="grey", linestyle=":", label="limit: 2 GiB")
    memory_axes.set_ylim(bottom=0)
    time_axes.set_ylabel("seconds")
    memory_axes.set_ylabel("peak memory (MB)")
    for axes in (time_axes, memory_axes):
        axes.set_xlabel("rows")
        axes.legend(fontsize=7)
    figure.suptitle(title, fontsize=9)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def machine() -> str:
    """Return the machine in words."""
    names = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory = psutil.virtual_memory().total / 2**30
    return f"{len(os.sched_getaffinity(0))} cores ({names[0]}), {memory:.0f} GiB"


def main() -> None:
    """Run one benchmark or both."""
    parser = argparse.ArgumentParser(prog="python -m data_prep.bench", description=__doc__)
    parser.add_argument("which", nargs="*", choices=("speed", "growth"), default=[])
    parser.add_argument("--n_files", type=int, default=N_FILES)
    parser.add_argument("--n_turns", type=int, default=N_TURNS)
    parser.add_argument("--rows", type=int, nargs="+", default=list(GROWTH_ROWS))
    args = parser.parse_args()
    if not args.which or "speed" in args.which:
        speed(args.n_files, args.n_turns)
    if not args.which or "growth" in args.which:
        growth(args.rows)


if __name__ == "__main__":
    main()
