"""Times what ranks say to each other in a scan: µs per gathering of a few numbers.

    mpiexec -n 2 python benchmarks/communication.py [--numbers 10] [--times 20000] [--runs 7]

Prints the median, the fastest and the slowest of several runs, on rank 0.
"""

import argparse
import statistics
import time

import numpy as np

from numpygeons.parallel.ranks import find_ranks


def microseconds(communicator, own, times):
    communicator.allgather(own)
    start = time.perf_counter()
    for _ in range(times):
        communicator.allgather(own)
    return 1e6 * (time.perf_counter() - start) / times


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--numbers", type=int, default=10, help="per rank")
    parser.add_argument("--times", type=int, default=20000)
    parser.add_argument("--runs", type=int, default=7)
    asked = parser.parse_args()
    ranks = find_ranks()
    own = np.arange(float(asked.numbers))
    runs = [microseconds(ranks.communicator, own, asked.times) for _ in range(asked.runs)]
    if ranks.rank == 0:
        print(
            f"{ranks.size} ranks, {asked.numbers} numbers each: {statistics.median(runs):.2f} µs "
            f"per allgather ({min(runs):.2f} to {max(runs):.2f}), "
            "the call from Python included"
        )


if __name__ == "__main__":
    main()
