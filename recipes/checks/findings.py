"""What the check found."""

from dataclasses import dataclass, field

ERROR, WARNING, NOTE = "error", "warning", "note"


@dataclass(frozen=True)
class Finding:
    """One thing to know.

    Attributes:
        level: "error": the run would fail or be spoilt silently. "warning": look at it. "note":
            what the numbers rest on.
        stage: sft, filter, grpo or eval.
        text: What was found, what was expected, what to do.
    """

    level: str
    stage: str
    text: str


@dataclass
class Findings:
    """Collects findings of a stage, each once."""

    stage: str
    items: list[Finding] = field(default_factory=list)

    def add(self, level: str, text: str) -> None:
        """Add a finding, unless it is there."""
        finding = Finding(level, self.stage, text)
        if finding not in self.items:
            self.items.append(finding)
