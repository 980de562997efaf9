"""Criteria that need nothing but the classifiers' probabilities: one number for each candidate, higher is asked first.

Each is meant for candidates in which something is heard.
"""

from __future__ import annotations

import numpy as np

from mmal_ros.datatypes import FloatArray
from mmal_ros.selector.candidates import Candidates
from mmal_ros.selector.state import votes_by_level
from mmal_ros.uncertainty import entropy


def entropy_sum(candidates: Candidates) -> FloatArray:
    """Sum of the entropies of the modalities heard, in nats, 0 to 4 ln 3.

    Source: the baseline UNC of MMQL 2019, sec. 4. A sum, as there: more modalities heard may be more unsure.
    """
    summed: FloatArray = np.where(candidates.heard, entropy(candidates.probabilities), np.float32(0)).sum(axis=1)
    return summed


def margin(candidates: Candidates) -> FloatArray:
    """Minus the lead of the likeliest level over the next, -1 (sure) to 0, in the mean of the modalities heard.

    Source: Scheffer, Decomain, Wrobel, "Active Hidden Markov Models for Information Extraction" (2001); over the mean,
    as in committees (Settles, "Active Learning Literature Survey", 2009, sec. 3.1-3.2).
    """
    weights = candidates.heard[..., None] / np.maximum(candidates.heard.sum(axis=1), 1, dtype=np.float32)[:, None, None]
    fused = np.sort((candidates.probabilities * weights).sum(axis=1), axis=1)
    lead: FloatArray = fused[:, -2] - fused[:, -1]
    return lead


def disagreement(candidates: Candidates) -> FloatArray:
    """Entropy of the votes in nats, 0 (all modalities agree, or one is alone) to ln 3.

    Source: vote entropy of Dagan and Engelson, "Committee-Based Sampling For Training Probabilistic Classifiers"
    (1995).
    """
    votes = votes_by_level(candidates.probabilities, candidates.heard)
    shares = votes / np.maximum(votes.sum(axis=1, keepdims=True), 1)
    return entropy(shares.astype(np.float32))
