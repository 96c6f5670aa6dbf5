#!/bin/sh
# SPDX-License-Identifier: MIT
# distributed 2026.8.0: a client waits for ever at a port that is no scheduler's, whatever its timeout.
#
# Most would expect: Client(address, timeout=2) raises an error after 2 s, as it does where nothing listens, also where a
# web server listens, such as a scheduler's dashboard, whose port 8787 is easily taken for its port 8786.
# Seen: it has not returned after 20 s.
# firstspike makes its clients in a thread that it waits for (cli/firstspike/dask_workers.py).
#
# Ends with 0 if that is seen, and with 1 if distributed behaves otherwise.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --target "$folder" distributed==2026.8.0
PYTHONPATH="$folder" python3 - <<'PYTHON'
import os
import threading
from http.server import HTTPServer, SimpleHTTPRequestHandler

from distributed import Client

server = HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
ended = threading.Event()


def connect():
    try:
        Client(f"tcp://127.0.0.1:{server.server_port}", timeout=2)
    except Exception as error:
        print("ended:", error)
    ended.set()


threading.Thread(target=connect, daemon=True).start()
waits = not ended.wait(20)
print("waits for more than 20 s" if waits else "does not wait")
os._exit(not waits)
PYTHON
