"""Takes Makegood's events: `python receive_events.py 9000`, the secret in WEBHOOK_SECRET. Needs `standardwebhooks`."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

# An event has a few kilobytes.
BODY_BYTES_MAX = 1024 * 1024
WEBHOOK = Webhook(os.environ["WEBHOOK_SECRET"])
# A table of yours with the id as its key: the same event may come twice.
SEEN: set[str] = set()


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        if length > BODY_BYTES_MAX:
            self.answer(413)
            return
        body = self.rfile.read(length)
        try:
            # Over the bytes as they came; it also refuses what is older than five minutes.
            event = WEBHOOK.verify(body, {name.lower(): value for name, value in self.headers.items()})
        except (WebhookVerificationError, ValueError):
            self.answer(400)
            return
        if event["id"] not in SEEN:
            # Write it down, answer, and do the work afterwards: after 15 seconds Makegood gives up and tries again.
            SEEN.add(event["id"])
            # The line and its end at once: two events may come together.
            print(json.dumps(event) + "\n", end="", flush=True)
        self.answer(204)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Not each request."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
    print(f"listening on http://127.0.0.1:{server.server_port}", file=sys.stderr, flush=True)
    server.serve_forever()
