"""Prometheus metrics, served at /metrics. Each app has its own registry, so that two in one process do not add up."""

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest

from recsys.service import Answer

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """Counts requests by route template, never by path: ids would make a series each."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        labels = ("method", "route", "status")
        self._requests = Counter("recsys_requests", "Requests answered", labels, registry=self._registry)
        self._seconds = Histogram(
            "recsys_request_seconds", "Time to answer", labels, registry=self._registry, buckets=LATENCIES
        )
        self._served = Counter("recsys_recommended_items", "Items recommended", ("encoder",), registry=self._registry)
        self._answers = Counter(
            "recsys_recommendations", "Lists of recommendations served", ("encoder",), registry=self._registry
        )
        self._degraded = Counter(
            "recsys_degraded", "Answers in which something was not done as asked", ("what",), registry=self._registry
        )

    def request(self, *, method: str, route: str, status: int, seconds: float) -> None:
        labels = (method if method in METHODS else "other", route, str(status))
        self._requests.labels(*labels).inc()
        self._seconds.labels(*labels).observe(seconds)

    def answer(self, answer: Answer) -> None:
        self._answers.labels(answer.encoder).inc()
        self._served.labels(answer.encoder).inc(len(answer.items))
        for option in {degraded.what for degraded in answer.degraded}:
            self._degraded.labels(option).inc()

    def text(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self._registry)
