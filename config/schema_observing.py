"""What Holdfast writes for programs that watch it: metrics, and logs that they can read."""

from __future__ import annotations

from config import scalars
from config.shapes import Key
from model import LogFormat

METRICS_FILE = Key(
    "METRICS_FILE",
    scalars.PATH,
    "A file on this machine that is written anew after each run, verification and drill, failed ones too: how every "
    "backup stands, in the text format of Prometheus, for the textfile collector of its node_exporter, which reads "
    "names that end in `.prom`. Every user can read it; no secret is in it.",
    "/var/lib/prometheus/node-exporter/holdfast.prom",
    default="no metrics are written; `backup.py --metrics` prints them",
)
LOG_FORMAT = Key(
    "LOG_FORMAT",
    scalars.one_of(*LogFormat),
    "How the logs of runs, verifications and drills are written: `text` for people, `json` for programs that collect "
    "logs, one JSON object in each line.",
    "json",
    default="text",
)
OBSERVING = (METRICS_FILE, LOG_FORMAT)
