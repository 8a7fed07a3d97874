"""Search by meaning: latent semantic analysis of all passages, with scikit-learn.

Source: Deerwester et al. (1990), Journal of the American Society for Information Science 41, 391-407. Passages that use
other words than the query are found where these words stand beside its words elsewhere in the memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from homeostat.adapters.memory.passages import words_of
from homeostat.errors import needs
from homeostat.records.past import Found

DIMENSIONS = 100
_LEAST = 0.05  # Cosines below it are no likeness.


def by_meaning(query: str, passages: Sequence[Found], limit: int) -> list[Found]:
    """The passages nearest to a query in the space of latent meanings, the nearest first.

    Raises MissingExtra without scikit-learn.
    """
    with needs("train", "a search by meaning"):
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [" ".join(words_of(f"{one.title} {one.text}")) for one in passages]
    if not any(texts) or not words_of(query):
        return []
    weights = TfidfVectorizer(sublinear_tf=True, analyzer=str.split)
    table = weights.fit_transform(texts)
    asked = weights.transform([" ".join(words_of(query))])
    if asked.nnz == 0:
        return []
    rank = min(DIMENSIONS, min(table.shape) - 1)
    if rank >= 2:
        space = TruncatedSVD(rank, random_state=0)
        points, point = space.fit_transform(table), space.transform(asked)[0]
    else:
        points, point = table.toarray(), asked.toarray()[0]
    lengths = np.linalg.norm(points, axis=1) * np.linalg.norm(point)
    cosines = points @ point / np.where(lengths > 0, lengths, np.inf)
    order = np.lexsort((np.arange(len(cosines)), -np.round(cosines, 9)))[:limit]
    return [replace(passages[at], score=round(float(cosines[at]), 6)) for at in order if cosines[at] > _LEAST]
