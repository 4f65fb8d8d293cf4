"""Calls two replicas of each service, by gRPC's own balancing and the shipped retry policy: at first as fast as it gets answers, then at half of that
until its standard input ends. Then it says how that was.

Arguments: the service config, the addresses of command-service and those of query-service (comma-separated). The stubs are on PYTHONPATH.
"""

import collections
import json
import sys
import threading
import time
import uuid

import grpc
from google.protobuf import duration_pb2
from tally.allocation.v1 import allocation_command_service_pb2 as commands
from tally.allocation.v1 import allocation_command_service_pb2_grpc as command_stubs
from tally.allocation.v1 import allocation_query_service_pb2 as queries
from tally.allocation.v1 import allocation_query_service_pb2_grpc as query_stubs
from tally.consistency.v1 import consistency_pb2 as consistency

DEADLINE_SECONDS = 30
# More than can be answered at once, so that calls which wait for a projector leave others to go on.
THREADS = 16
# A read waits so long for the command before it: longer than a projector's work is without anybody.
WAIT_SECONDS = 20
MEASURED_SECONDS = 3


def channel(config, addresses):
    # More than one address for one channel: what a headless Service gives.
    # The list of them is no name that a server would take.
    options = [
        ("grpc.default_authority", "tally"),
        ("grpc.service_config", config),
        ("grpc.max_reconnect_backoff_ms", 200),
        ("grpc.initial_reconnect_backoff_ms", 50),
    ]
    return grpc.insecure_channel("ipv4:" + addresses, options)


def main(config_path, command_addresses, query_addresses):
    config = json.load(open(config_path))
    for method in config["methodConfig"]:
        # One retry, and not as many as clients have.
        method["retryPolicy"]["maxAttempts"] = 2
    config = json.dumps(config)
    outcomes = collections.Counter()
    failures = []

    def call(allocation, stock, order_id):
        """A command, and a read that includes it."""
        try:
            allocated = allocation.Allocate(
                commands.AllocateRequest(command_id=str(uuid.uuid4()), order_id=order_id, sku="LAMP", quantity=1),
                timeout=DEADLINE_SECONDS,
            )
            read_after = consistency.ReadAfter(
                token=allocated.receipt.token, timeout=duration_pb2.Duration(seconds=WAIT_SECONDS)
            )
            answer = stock.GetStock(queries.GetStockRequest(sku="LAMP", read_after=read_after), timeout=DEADLINE_SECONDS)
            outcomes["stale" if answer.freshness.may_be_stale else "good"] += 1
        except grpc.RpcError as error:
            outcomes["failed"] += 1
            failures.append(f"{error.code()}: {error.details()}")

    def load(name, period, stop):
        """Starts threads that call, each not more often than once in `period` seconds, until they are to stop."""

        def work(number):
            allocation = command_stubs.AllocationCommandServiceStub(channel(config, command_addresses))
            stock = query_stubs.AllocationQueryServiceStub(channel(config, query_addresses))
            began = time.monotonic()
            count = 0
            while not stop.wait(max(0, began + count * period - time.monotonic())):
                count += 1
                call(allocation, stock, f"{name}-{number}-{count}")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        return threads

    def calls():
        return sum(outcomes.values())

    def until_stopped(threads, stop):
        stop.set()
        for thread in threads:
            thread.join()

    stop = threading.Event()
    threads = load("measured", 0, stop)
    began = time.monotonic()
    stop.wait(MEASURED_SECONDS)
    until_stopped(threads, stop)
    measured = calls() / (time.monotonic() - began)

    before = calls()
    stop = threading.Event()
    threads = load("half", THREADS / (measured / 2), stop)
    began = time.monotonic()
    print("half of what was measured", flush=True)
    sys.stdin.read()
    until_stopped(threads, stop)
    rate = (calls() - before) / (time.monotonic() - began)
    counts = {kind: outcomes[kind] for kind in ("good", "stale", "failed")}
    print(json.dumps(counts | {"measured": measured, "rate": rate, "failures": failures[:20]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
