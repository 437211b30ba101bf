"""How an answer is judged: answer format, rewards, scoring, metrics.

Reward functions have TRL's signature and are the three terms of Eq. (3) of Fake-HR1; their weights
are ``reward_weights`` in a GRPO configuration, never code.
"""

from rewards.accuracy import accuracy_reward
from rewards.answer_format import ParsedAnswer, parse_answer, render_answer
from rewards.formatting import format_reward
from rewards.hybrid import HybridReward, hybrid_reward
from rewards.labels import ALL_BANKS, LABELS, NEUTRAL_BANK, QUESTION_BANKS
from rewards.scoring import ScoredCompletion, score_completion

__all__ = [
    "ALL_BANKS",
    "LABELS",
    "NEUTRAL_BANK",
    "QUESTION_BANKS",
    "HybridReward",
    "ParsedAnswer",
    "ScoredCompletion",
    "accuracy_reward",
    "format_reward",
    "hybrid_reward",
    "parse_answer",
    "render_answer",
    "score_completion",
]
