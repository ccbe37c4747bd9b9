"""A function to try things with: it loads a model for some time, and every request costs a fixed amount of CPU time.

So the latency is about WORK / cores + PAUSE seconds for up to THREADS cores, and the cold start about LOAD seconds and
what Python takes to start.

Variables: PORT and HOST say where to listen; WORK (CPU seconds a request), PAUSE (seconds a request), LOAD (seconds to
load), THREADS (which share the work; 1 by default).
"""

import hashlib
import json
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORK = float(os.environ.get("WORK", "0.05"))
PAUSE = float(os.environ.get("PAUSE", "0.005"))
LOAD = float(os.environ.get("LOAD", "0.2"))
THREADS = int(os.environ.get("THREADS", "1"))

BLOCK = bytes(32_768)
loaded = threading.Event()
workers = ThreadPoolExecutor(THREADS)


def burn(seconds):
    """Use so much CPU time of this thread; hashing lets the other threads run."""
    end = time.thread_time() + seconds
    digest = hashlib.sha256()
    while time.thread_time() < end:
        digest.update(BLOCK)


class Handler(BaseHTTPRequestHandler):
    """Answers requests, and whether the model is loaded."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """Tell whether it is ready."""
        self.answer(200 if loaded.is_set() else 503, {"loaded": loaded.is_set()})

    def do_POST(self):
        """Serve a request."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        loaded.wait()
        begun = time.perf_counter()
        for part in [workers.submit(burn, WORK / THREADS) for _ in range(THREADS)]:
            part.result()
        time.sleep(PAUSE)
        took = time.perf_counter() - begun
        name = os.environ.get("SMILESS_INSTANCE", "function")
        self.answer(200, {"instance": name, "seconds": round(took, 6), "given": body.decode(errors="replace")})

    def answer(self, status, content):
        """Send JSON."""
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        """Say nothing of single requests."""


def load():
    """Stand for reading a model and preparing it."""
    time.sleep(LOAD)
    loaded.set()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    where = (os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8080")))
    server = ThreadingHTTPServer(where, Handler)
    threading.Thread(target=load, daemon=True).start()
    print(f"listening at {where[0]}:{where[1]}", file=sys.stderr, flush=True)
    server.serve_forever()
