"""Calls two replicas of each service, by gRPC's own balancing and the shipped retry policy, until its standard input ends; then says how that was.

Arguments: the service config, the addresses of command-service and those of query-service (comma-separated). The stubs are on PYTHONPATH.
"""

import collections
import json
import sys
import threading
import uuid

import grpc
from tally.allocation.v1 import allocation_command_service_pb2 as commands
from tally.allocation.v1 import allocation_command_service_pb2_grpc as command_stubs
from tally.allocation.v1 import allocation_query_service_pb2 as queries
from tally.allocation.v1 import allocation_query_service_pb2_grpc as query_stubs

DEADLINE_SECONDS = 30
THREADS = 4
# Between calls: this is half of what the machine does beside everything else, and not an attack.
PAUSE_SECONDS = 0.005


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
    stop = threading.Event()
    outcomes = collections.Counter()
    failures = []

    def work(number):
        allocation = command_stubs.AllocationCommandServiceStub(channel(config, command_addresses))
        stock = query_stubs.AllocationQueryServiceStub(channel(config, query_addresses))
        count = 0
        while not stop.wait(PAUSE_SECONDS):
            count += 1
            try:
                allocation.Allocate(
                    commands.AllocateRequest(
                        command_id=str(uuid.uuid4()), order_id=f"rolling-{number}-{count}", sku="LAMP", quantity=1
                    ),
                    timeout=DEADLINE_SECONDS,
                )
                stock.GetStock(queries.GetStockRequest(sku="LAMP"), timeout=DEADLINE_SECONDS)
                outcomes["good"] += 1
            except grpc.RpcError as error:
                outcomes["failed"] += 1
                failures.append(f"{error.code()}: {error.details()}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    print("started", flush=True)
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    print(json.dumps({"good": outcomes["good"], "failed": outcomes["failed"], "failures": failures[:20]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
