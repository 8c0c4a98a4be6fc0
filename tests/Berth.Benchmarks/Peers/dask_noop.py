"""Dask with a scheduler and two worker processes: no-op tasks whose results come back.

dask_noop.py COUNT TRIPS prints tasks a second and the middle round trip in microseconds.
"""
import sys
import time

from distributed import Client, LocalCluster


def noop(_):
    return None


def main(count, trips):
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        with Client(cluster) as client:
            client.submit(noop, -1, pure=False).result()
            start = time.perf_counter()
            client.gather(client.map(noop, range(count), pure=False))
            rate = count / (time.perf_counter() - start)
            times = []
            for i in range(trips):
                start = time.perf_counter()
                client.submit(noop, i, pure=False).result()
                times.append(time.perf_counter() - start)
            print(rate, sorted(times)[trips // 2] * 1e6)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
