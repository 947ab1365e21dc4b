"""What `/metrics` tells Prometheus: requests, latencies, and what the running batch does."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from omni.answering.events import Statistics

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, float("inf"))
_BYTES = (1e3, 1e4, 1e5, 1e6, 1e7, 1e8, float("inf"))
_GAUGES = ("running", "waiting", "cache_tokens", "media_kept", "media_kept_bytes")


class Metrics:
    """The measurements of one server.

    Args:
        statistics: what the running batch does and has done; None where there is no language model.
    """

    def __init__(self, statistics: Callable[[], Statistics] | None) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "omni_requests", "Requests that were answered, by status", ["endpoint", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "omni_request_seconds",
            "From the arrival of a request to the end of its answer",
            ["endpoint"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._first = Histogram(
            "omni_first_token_seconds",
            "From the arrival of a request to the first text of its answer",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._bytes = Histogram(
            "omni_request_bytes", "Bytes of the bodies of requests", buckets=_BYTES, registry=self._registry
        )
        self._media = Counter("omni_media", "Media that were sent", ["modality"], registry=self._registry)
        self._in_flight = Gauge("omni_requests_in_flight", "Requests that are being answered", registry=self._registry)
        if statistics is not None:
            self._registry.register(_BatchCollector(statistics))

    @contextmanager
    def request(self, endpoint: str) -> Iterator["RequestTimes"]:
        """Measure one request; its status is to be set before the end."""
        times = RequestTimes(self, time.monotonic())
        self._in_flight.inc()
        try:
            yield times
        finally:
            self._in_flight.dec()
            self._requests.labels(endpoint, str(times.status)).inc()
            self._seconds.labels(endpoint).observe(time.monotonic() - times.began)

    def text(self) -> bytes:
        """Return all measurements in Prometheus's text format."""
        return generate_latest(self._registry)

    def count_body(self, num_bytes: int) -> None:
        """Count the body of a request."""
        self._bytes.observe(num_bytes)

    def count_media(self, modalities: Iterable[str]) -> None:
        """Count media that were sent."""
        for modality in modalities:
            self._media.labels(modality).inc()

    def first_text(self, seconds: float) -> None:
        """Note the time from the arrival of a request to the first text of its answer."""
        self._first.observe(seconds)


class RequestTimes:
    """When a request arrived, when its answer began, and how it ended (499: the client went away)."""

    def __init__(self, metrics: Metrics, began: float) -> None:
        self._metrics = metrics
        self._has_begun = False
        self.began = began
        self.status = 499

    def first_text(self) -> None:
        """Say that there is text of the answer; only the first time counts."""
        if not self._has_begun:
            self._has_begun = True
            self._metrics.first_text(time.monotonic() - self.began)

    def left(self, seconds: float) -> float:
        """Return what is left of so many seconds since the request arrived, at least a little."""
        return max(0.001, seconds - (time.monotonic() - self.began))


class _BatchCollector(Collector):
    """Reads the statistics of the running batch whenever somebody asks."""

    def __init__(self, statistics: Callable[[], Statistics]) -> None:
        self._statistics = statistics

    def collect(self) -> Iterable[Metric]:
        found = self._statistics()
        for one in fields(found):
            value = float(getattr(found, one.name))
            words = one.name.replace("_", " ")
            if one.name in _GAUGES:
                yield GaugeMetricFamily(f"omni_batch_{one.name}", f"Of the running batch: {words}", value=value)
            else:
                yield CounterMetricFamily(f"omni_batch_{one.name}", f"Of the running batch: {words}", value=value)
