"""One contender of the benchmark in a process of its own: ``python -m data_prep.bench_contenders``.

Prints ``{"seconds": …}``: the work without the imports of its first module.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def byte_copy(tree: Path, out: Path) -> Callable[[], object]:
    """Read every file and append it to one: what the disk and the kernel allow."""
    out.mkdir(parents=True)

    def work() -> None:
        with (out / "all").open("wb") as target:
            for folder, _, names in os.walk(tree):
                for name in names:
                    with open(os.path.join(folder, name), "rb", buffering=0) as file:
                        target.write(file.read())

    return work


def imagefolder(tree: Path, out: Path) -> Callable[[], object]:
    """``load_dataset("imagefolder")`` and ``to_parquet``: paths alone, since datasets 4."""
    from datasets import load_dataset

    out.mkdir(parents=True)

    def work() -> None:
        rows: Any = load_dataset(
            "imagefolder", data_dir=str(tree), split="train", cache_dir=str(out)
        )
        rows.to_parquet(out / "all.parquet")

    return work


def imagefolder_embedded(tree: Path, out: Path) -> Callable[[], object]:
    """The same with the files' bytes in the rows, by the documented ``embed_table_storage``."""
    from datasets import load_dataset
    from datasets.table import embed_table_storage

    out.mkdir(parents=True)

    def work() -> None:
        rows: Any = load_dataset(
            "imagefolder", data_dir=str(tree), split="train", cache_dir=str(out)
        )
        rows = rows.with_format("arrow").map(embed_table_storage, batched=True, batch_size=100)
        rows.to_parquet(out / "all.parquet")

    return work


def ours(check: str, storage: str = "embed") -> Callable[[Path, Path], Callable[[], object]]:
    """Return the contender that is this project's build, by its command line."""

    def contender(tree: Path, out: Path) -> Callable[[], object]:
        import data_prep.build  # noqa: F401  (the imports are not timed)
        from data_prep.__main__ import run

        options = ["--check", check, "--image_storage", storage, "--num_proc", "2", "--no-audit"]
        return lambda: run(["sft", "--genimage", str(tree), "--output_dir", str(out), *options])

    return contender


CONTENDERS: dict[str, Callable[[Path, Path], Callable[[], object]]] = {
    "byte copy": byte_copy,
    "imagefolder": imagefolder,
    "imagefolder, embedded": imagefolder_embedded,
    "ours, header": ours("header"),
    "ours, full": ours("full"),
    "ours, full, paths": ours("full", "path"),
}


def main() -> None:
    """Run the contender that the command line names on a tree, into a folder."""
    name, tree, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    shutil.rmtree(out, ignore_errors=True)
    work = CONTENDERS[name](tree, out)
    start = time.perf_counter()
    work()
    print(json.dumps({"seconds": time.perf_counter() - start}))


if __name__ == "__main__":
    main()
