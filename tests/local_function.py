"""What instances run in the tests of the local platform: does what each request says."""

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BEGUN = time.monotonic()
LOAD = float(os.environ.get("LOAD", "0"))


def do(what, argument):
    """Return status, content type and body."""
    if what == "sleep":
        time.sleep(float(argument))
    elif what == "burn":
        end = time.thread_time() + float(argument)
        while time.thread_time() < end:
            pass
    elif what == "exit":
        os._exit(int(argument))
    elif what == "status":
        return int(argument), "text/plain", b"as you say"
    elif what == "bytes":
        return 200, "application/octet-stream", b"\xff" * int(argument)
    elif what == "allocate":
        return 200, "text/plain", str(len(bytearray(int(argument)))).encode()
    elif what == "python":
        return 200, "text/plain", str(eval(argument)).encode()
    elif what == "fork":
        os.spawnl(os.P_NOWAIT, "/usr/bin/sleep", "sleep", argument)
    return 200, "application/json", json.dumps({"id": os.environ["SMILESS_INSTANCE"], "did": what}).encode()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        ready = time.monotonic() - BEGUN >= LOAD
        self.answer(200 if ready else 503, "text/plain", b"ready" if ready else b"loading")

    def do_POST(self):
        said = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        what, _, argument = said.partition(" ")
        self.answer(*do(what, argument))

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


if __name__ == "__main__":
    if os.environ.get("STUBBORN"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if os.environ.get("BROKEN"):
        sys.exit("there is no such model")
    ThreadingHTTPServer.request_queue_size = 64
    server = ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler)
    threading.Thread(target=server.serve_forever).start()
