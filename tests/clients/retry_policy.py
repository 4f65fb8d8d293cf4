"""Calls a server that fails twice and then succeeds, with the service config whose path is the argument.

Prints {service: {code: [the code that the caller got, attempts that the server saw]}}.
"""

import json
import sys
from concurrent import futures

import grpc

CODES = [
    "UNAVAILABLE",
    "RESOURCE_EXHAUSTED",
    "ABORTED",
    "FAILED_PRECONDITION",
    "ALREADY_EXISTS",
    "INTERNAL",
    "DEADLINE_EXCEEDED",
]
FAILURES = 2


class Failing(grpc.GenericRpcHandler):
    """Takes any method; the request is the code to fail with."""

    def __init__(self):
        self.attempts = 0

    def service(self, _call_details):
        return grpc.unary_unary_rpc_method_handler(self.answer)

    def answer(self, request, context):
        self.attempts += 1
        if self.attempts <= FAILURES:
            context.abort(grpc.StatusCode[request.decode()], "not now")
        return b""


def call(address, config, handler, service, code):
    handler.attempts = 0
    # A channel of its own for each call: the budget for retries is a channel's.
    options = [("grpc.service_config", config), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(address, options) as channel:
        try:
            channel.unary_unary(f"/{service}/Anything")(code.encode(), timeout=20)
            outcome = "OK"
        except grpc.RpcError as error:
            outcome = error.code().name
    return [outcome, handler.attempts]


def main(path):
    with open(path, encoding="utf-8") as file:
        config = file.read()
    services = [name["service"] for method in json.loads(config)["methodConfig"] for name in method["name"]]
    handler = Failing()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2), handlers=[handler])
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    seen = {service: {code: call(address, config, handler, service, code) for code in CODES} for service in services}
    server.stop(None)
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
