"""Celery with Redis between: no-op tasks whose results come back.

celery_noop.py COUNT TRIPS prints tasks a second and the middle round trip in microseconds.
"""
import os
import sys
import time

from celery import Celery

URL = "redis://127.0.0.1:" + os.environ["REDIS_PORT"]
app = Celery("celery_noop", broker=URL + "/0", backend=URL + "/1")
# As much ahead as helps: none of it is kept when a worker dies, which is the lightest that Celery can be.
app.conf.worker_prefetch_multiplier = 64
app.conf.task_acks_late = False


@app.task(name="noop")
def noop():
    return None


def main(count, trips):
    noop.delay().get(timeout=60)
    start = time.perf_counter()
    for result in [noop.delay() for _ in range(count)]:
        result.get(timeout=120)
    rate = count / (time.perf_counter() - start)
    times = []
    for _ in range(trips):
        start = time.perf_counter()
        noop.delay().get(timeout=60)
        times.append(time.perf_counter() - start)
    print(rate, sorted(times)[trips // 2] * 1e6)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
