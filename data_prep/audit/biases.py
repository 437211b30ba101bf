"""How well a file's outside alone tells its label: format, size, bytes, JPEG quality.

A detector learns what is easiest. Where the fakes are PNG of one size and the photographs JPEG of
all sizes ("Fake or JPEG?", arXiv 2403.17608), that is the format and the size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.tree import DecisionTreeClassifier
from statsmodels.stats.multitest import multipletests
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from data_prep.audit.auc import Auc, folded_auc
from data_prep.audit.corpus import Corpus

FEATURES = ("format", "mode", "width", "height", "aspect", "bytes_per_pixel", "jpeg_quality")
TOGETHER = "all together"
ALL_SOURCES = "all sources"
WARN_ABOVE = 0.6
SIGNIFICANCE = 0.05  # of the whole table, after Holm's correction
N_FOLDS = 5
MIN_CLASS_ROWS = 30  # with fewer, the 95 % interval of an AUC is wider than +- 0.15
SEED = 0


@dataclass(frozen=True)
class Bias:
    """How well one feature predicts the label within one source.

    Attributes:
        source: A source, or ``ALL_SOURCES``.
        feature: One of ``FEATURES``, or ``TOGETHER``.
        auc: Cross-validated.
        warns: The AUC is above ``WARN_ABOVE`` and not by chance.
    """

    source: str
    feature: str
    auc: Auc
    warns: bool = False


@dataclass(frozen=True)
class BiasTable:
    """What was computed and what was not.

    Attributes:
        biases: By source, then feature.
        skipped: Source to the reason why nothing was computed.
        n_rows: Source to (rows used, rows there are).
    """

    biases: tuple[Bias, ...]
    skipped: dict[str, str]
    n_rows: dict[str, tuple[int, int]]

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers for ``audit.json``."""
        rows = [
            {
                "source": b.source,
                "feature": b.feature,
                "auc": b.auc.value,
                "interval": list(b.auc.interval),
                "warning": b.warns,
            }
            for b in self.biases
        ]
        used = {source: {"used": u, "there": n} for source, (u, n) in self.n_rows.items()}
        return {"auc": rows, "skipped": self.skipped, "n_rows": used}


def features_of(corpus: Corpus) -> np.ndarray:
    """Return the features of each row, float64 [n, len(FEATURES)]; NaN where there is none."""
    width, height = corpus.numbers("width"), corpus.numbers("height")
    columns = {
        "format": _codes(corpus, "format"),
        "mode": _codes(corpus, "mode"),
        "width": width,
        "height": height,
        "aspect": width / height,
        "bytes_per_pixel": corpus.numbers("n_bytes") / (width * height),
        "jpeg_quality": corpus.numbers("jpeg_quality"),
    }
    return np.column_stack([columns[name] for name in FEATURES])


def _codes(corpus: Corpus, column: str) -> np.ndarray:
    names = sorted(n for n in corpus.table[column].unique().to_pylist() if n is not None)
    return corpus.codes(column, names).astype(float)


def measure_biases(corpus: Corpus, group: np.ndarray, max_rows: int) -> BiasTable:
    """Cross-validate, in each source of the audited set and over all, each feature and all of them.

    Args:
        corpus: All sets; only the first is measured.
        group: Near duplicates have one number, int64 [n]; they are kept in one fold.
        max_rows: Rows of a source that are used at most, drawn at random (seeded).
    """
    rows = np.flatnonzero((corpus.set_number == 0) & corpus.readable)
    features = features_of(corpus)[rows]
    fake, group = corpus.is_fake[rows], group[rows]
    sources = np.asarray(corpus.names("source", rows), dtype=object).astype(str)
    names = sorted(set(sources.tolist()))
    subsets = {ALL_SOURCES: np.arange(len(rows))}
    if len(names) > 1:
        subsets.update({name: np.flatnonzero(sources == name) for name in names})
    biases: list[Bias] = []
    skipped: dict[str, str] = {}
    n_rows: dict[str, tuple[int, int]] = {}
    for source, subset in tqdm(subsets.items(), desc="biases by source", disable=len(subsets) < 5):
        used = np.sort(np.random.default_rng(SEED).permutation(subset)[:max_rows])
        n_rows[source] = (len(used), len(subset))
        reason = _unfit(fake[used], group[used])
        if reason:
            skipped[source] = reason
            continue
        biases += _measure_source(source, features[used], fake[used], group[used])
    return BiasTable(tuple(_with_warnings(biases)), skipped, n_rows)


def _unfit(fake: np.ndarray, group: np.ndarray) -> str | None:
    """Return why no AUC can be computed, if so."""
    n_fake, n_real = int(fake.sum()), int((~fake).sum())
    if min(n_fake, n_real) == 0:
        only = "fake" if n_fake else "real"
        return f"has {only} rows only: the source itself tells the label"
    if min(n_fake, n_real) < MIN_CLASS_ROWS:
        return f"too few rows: {n_real} real and {n_fake} fake, {MIN_CLASS_ROWS} of each needed"
    n_groups = min(len(np.unique(group[fake])), len(np.unique(group[~fake])))
    if n_groups < 2 * N_FOLDS:
        return f"too few different pictures: {n_groups} in one class, {2 * N_FOLDS} needed"
    return None


def _measure_source(
    source: str, features: np.ndarray, fake: np.ndarray, group: np.ndarray
) -> list[Bias]:
    splitter = StratifiedGroupKFold(N_FOLDS, shuffle=True, random_state=SEED)
    folds = list(splitter.split(features, fake, group))
    fold = np.empty(len(fake), int)
    for number, (_, test) in enumerate(folds):
        fold[test] = number
    scored = np.isin(fold, [i for i in range(N_FOLDS) if 0 < fake[fold == i].mean() < 1])
    biases = []
    for feature in (*FEATURES, TOGETHER):
        columns = slice(None) if feature == TOGETHER else [FEATURES.index(feature)]
        score = _out_of_fold(features[:, columns], fake, folds, together=feature == TOGETHER)
        auc = folded_auc(score[scored], fake[scored], group[scored], fold[scored])
        biases.append(Bias(source, feature, auc))
    return biases


def _out_of_fold(
    columns: np.ndarray, fake: np.ndarray, folds: list[Any], *, together: bool
) -> np.ndarray:
    """Return each row's score by a model that has not seen its fold, [n]."""
    score = np.zeros(len(fake))
    varies = np.array([len(np.unique(column)) > 1 for column in columns.T])  # NaN equals NaN here
    if varies.any():
        # One thread: on data this small, threads cost more than they bring.
        with threadpool_limits(1):
            for train, test in folds:
                model = _model(len(train), together).fit(columns[train][:, varies], fake[train])
                score[test] = model.predict_proba(columns[test][:, varies])[:, 1]
    return score


def _model(n_rows: int, together: bool) -> Any:
    """Return a model that takes any relation, not only a rising one, and knows missing values."""
    leaf = max(5, n_rows // 200)
    if together:
        return HistGradientBoostingClassifier(
            max_iter=50, max_leaf_nodes=16, min_samples_leaf=leaf, random_state=SEED
        )
    return DecisionTreeClassifier(max_leaf_nodes=16, min_samples_leaf=leaf, random_state=SEED)


def _with_warnings(biases: Sequence[Bias]) -> list[Bias]:
    if not biases:
        return []
    certain = multipletests([b.auc.p_value for b in biases], SIGNIFICANCE, method="holm")[0]
    return [
        Bias(b.source, b.feature, b.auc, bool(sure) and b.auc.value > WARN_ABOVE)
        for b, sure in zip(biases, certain, strict=True)
    ]
