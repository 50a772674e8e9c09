"""An application whose gunicorn workers each count for themselves; headcount serves the sum.

It must not serve /metrics itself: whichever worker happened to answer would have to read the
files of all the others, while a request waits. headcount does so in a process of its own.
"""

from fastapi import FastAPI
from prometheus_client import Gauge
from prometheus_fastapi_instrumentator import Instrumentator

ORDERS_IN_PROGRESS = Gauge(
    "orders_in_progress",
    "Orders that are being worked on right now.",
    multiprocess_mode="livesum",
)

app = FastAPI(title="Orders")

# instrument() counts requests and times them; there is no expose() on purpose.
Instrumentator().instrument(app)


@app.get("/orders/{number}")
async def read_order(number: int) -> dict[str, int]:
    with ORDERS_IN_PROGRESS.track_inprogress():
        return {"order": number, "items": number % 7 + 1}
