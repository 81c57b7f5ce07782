"""Metrics as Prometheus reads them: by the parser of its own library."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

Series = tuple[str, frozenset[tuple[str, str]]]


class Metrics:
    """The series of a text, each by its name and labels. A series that stands there twice is an error."""

    def __init__(self, text: bytes | str) -> None:
        self.series: dict[Series, float] = {}
        self.help: dict[str, str] = {}
        self.types: dict[str, str] = {}
        decoded = text.decode() if isinstance(text, bytes) else text
        for family in text_string_to_metric_families(decoded):
            self.help[family.name] = family.documentation
            self.types[family.name] = family.type
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                assert key not in self.series, key
                self.series[key] = sample.value

    def get(self, name: str, **labels: str) -> float | None:
        """The one series of this name that has these labels, and perhaps others."""
        found = list(self.all(name, **labels).values())
        assert len(found) <= 1, found
        return found[0] if found else None

    def all(self, name: str, **labels: str) -> Mapping[Series, float]:
        """Every series of this name that has these labels, and perhaps others."""
        wanted = set(labels.items())
        return {key: value for key, value in self.series.items() if key[0] == name and wanted <= key[1]}
