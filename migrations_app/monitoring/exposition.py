"""Metrics as Prometheus reads them.

Source: prometheus.io/docs/instrumenting/exposition_formats
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]


class Kind(StrEnum):
    """What a metric's values mean."""

    GAUGE = "gauge"
    COUNTER = "counter"


@dataclass(slots=True)
class Metric:
    """One metric with its samples.

    Attributes:
        name: With its unit; counters end in ``_total``.
        help_text: One line.
    """

    name: str
    help_text: str
    kind: Kind = Kind.GAUGE
    samples: list[tuple[Labels, float]] = field(default_factory=list)

    def add(self, value: float | None, **labels: str) -> None:
        """Add a sample; what is not known is left out."""
        if value is not None:
            self.samples.append((labels, value))

    def lines(self) -> Iterator[str]:
        """The metric's part of the text."""
        yield f"# HELP {self.name} {self.help_text}"
        yield f"# TYPE {self.name} {self.kind}"
        for labels, value in self.samples:
            inside = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
            yield f"{self.name}{{{inside}}} {_number(value)}" if inside else f"{self.name} {_number(value)}"


def text_of(metrics: list[Metric]) -> str:
    """The whole text."""
    return "\n".join(line for metric in metrics for line in metric.lines()) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(round(float(value), 6))
