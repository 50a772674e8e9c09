"""Read by gunicorn by itself when it starts in this directory."""

from prometheus_client import multiprocess


def child_exit(server, worker):
    """Takes the live gauges of a worker that has ended out of the sums, however it ended."""
    multiprocess.mark_process_dead(worker.pid)
