"""What this process counts of itself, for Prometheus.

They live in the library's default registry, with its own of the process; runs/web/metrics.py
serves them. Counted per batch, socket or run, never per chunk: one count takes a microsecond.
"""

from prometheus_client import Counter, Gauge, Histogram, Info, disable_created_metrics

# Otherwise each counter and histogram has a second series, the time it was made at.
disable_created_metrics()

BUILD = Info("streamsite_build", "The version of streamsite.")

# --- runs ----------------------------------------------------------------------

RUNS_ENDED = Counter("streamsite_runs_ended", "Runs this process ended, by status.", ["status"])
RUNS_CARRIED = Gauge("streamsite_runs_carried", "Runs that this process carries now.")
SANDBOXES_OPEN = Gauge(
    "streamsite_sandboxes_open", "Sandboxes made by this process and not yet closed.", ["backend"]
)
LEASE_LOSSES = Counter(
    "streamsite_lease_losses", "Runs that another executor took over from this process."
)

# --- recording -----------------------------------------------------------------

CHUNKS_RECORDED = Counter("streamsite_recorded_chunks", "Chunks stored.")
BYTES_RECORDED = Counter("streamsite_recorded_bytes", "Bytes of output stored.")
STORE_SECONDS = Histogram(
    "streamsite_store_seconds",
    "How long one transaction of the recorder took; failed ones too.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
STORE_FAILURES = Counter(
    "streamsite_store_failures", "Transactions that failed; each is tried again."
)
CHUNKS_REPLACED = Counter(
    "streamsite_replaced_chunks", "Chunks the database refused; a remark stands in their place."
)
WAITING_BYTES = Gauge("streamsite_recorder_waiting_bytes", "Output not yet taken to be stored.")
WAITING_RUNS = Gauge("streamsite_recorder_waiting_runs", "Runs with such output.")
PUBLISH_FAILURES = Counter(
    "streamsite_publish_failures", "Batches stored but not told; readers find them later."
)

# --- who did what --------------------------------------------------------------

ACCESS_FAILURES = Counter("streamsite_access_failures", "Access events that were not written.")

# --- viewers -------------------------------------------------------------------

VIEWERS = Gauge("streamsite_viewers", "Open viewers of one run each.", ["transport"])
SOCKET_VIEWERS = VIEWERS.labels("websocket")
SSE_VIEWERS = VIEWERS.labels("sse")
LIST_VIEWERS = Gauge("streamsite_list_viewers", "Open WebSockets that show the list of runs.")

_GAPS = Counter(
    "streamsite_feed_gaps",
    "Batches that a feed never got (lost); readers that had to read them back (behind).",
    ["reason"],
)
FEED_LOST = _GAPS.labels("lost")
READER_BEHIND = _GAPS.labels("behind")
