"""Speaks JSON lines: a call on standard input, its answer on standard output.

Arguments: the address of command-service and that of query-service. The generated stubs are on PYTHONPATH.
"""

import importlib
import itertools
import json
import re
import sys

import grpc
from google.protobuf.json_format import MessageToDict, ParseDict
from google.rpc import error_details_pb2  # noqa: F401 - makes the details' types known
from grpc_status import rpc_status

DEADLINE_SECONDS = 40


def stub(service, channel):
    """The generated stub of a service: tally.orders.v1.OrderQueryService is in order_query_service_pb2_grpc."""
    package, name = service.rsplit(".", 1)
    module = package + "." + re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() + "_pb2"
    stubs = importlib.import_module(module + "_grpc")
    messages = importlib.import_module(module)
    return getattr(stubs, name + "Stub")(channel), messages


def refusal(error):
    status = rpc_status.from_call(error)
    details = [MessageToDict(detail) for detail in status.details] if status else []
    return {"error": {"code": error.code().value[0], "message": error.details(), "details": details}}


def main(command_address, query_address):
    channels = {
        "command": grpc.insecure_channel(command_address),
        "query": grpc.insecure_channel(query_address),
    }
    for line in sys.stdin:
        call = json.loads(line)
        client, messages = stub(call["service"], channels["query" if call["query"] else "command"])
        request = ParseDict(call["request"], getattr(messages, call["method"] + "Request")())
        try:
            response = getattr(client, call["method"])(request, timeout=DEADLINE_SECONDS)
            if "first" in call:
                answer = {"answer": [MessageToDict(message) for message in itertools.islice(response, call["first"])]}
                response.cancel()
            else:
                answer = {"answer": MessageToDict(response)}
        except grpc.RpcError as error:
            answer = refusal(error)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
