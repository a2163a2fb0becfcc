"""Takes OTLP's metrics over HTTP, decodes them with the vendor's classes, and keeps each request as a line of JSON.

usage: receive.py FILE PORTFILE
"""

import http.server
import pathlib
import sys
import threading

from google.protobuf.json_format import MessageToJson
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

out, port_file = map(pathlib.Path, sys.argv[1:])
# A line is longer than what is written at once, and programs send at the same time.
one_at_a_time = threading.Lock()


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path != "/v1/metrics" or self.headers["content-type"] != "application/x-protobuf":
            self.send_error(400)
            return
        request = ExportMetricsServiceRequest()
        request.ParseFromString(body)
        if not request.resource_metrics:
            self.send_error(400, "an empty request")
            return
        line = MessageToJson(request, indent=None) + "\n"
        with one_at_a_time, out.open("a") as file:
            file.write(line)
        reply = ExportMetricsServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
port_file.write_text(str(server.server_port))
server.serve_forever()
