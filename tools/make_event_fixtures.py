#!/usr/bin/env python3
"""Makes src/train/testdata/events.tfevents: what the Python package tensorboard writes for a few events.

    pip install tensorboard
    python tools/make_event_fixtures.py
"""

import pathlib

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

Value = summary_pb2.Summary.Value
events = [
    event_pb2.Event(wall_time=1700000000.25, file_version="brain.Event:2"),
    event_pb2.Event(
        wall_time=1700000000.5, step=7, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    ),
    event_pb2.Event(
        wall_time=1700000001.125,
        step=300,
        summary=summary_pb2.Summary(
            value=[Value(tag="train/loss", simple_value=3.25), Value(tag="train/zeros", simple_value=0.0)]
        ),
    ),
]
path = pathlib.Path(__file__).parent.parent / "src/train/testdata/events.tfevents"
with open(path, "wb") as file:
    writer = RecordWriter(file)
    for event in events:
        writer.write(event.SerializeToString())
    writer.flush()
print(path, path.stat().st_size, "bytes")
