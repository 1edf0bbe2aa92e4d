"""A shop to try the widget with: `python shop.py 3000`. Needs `pyjwt`, and the three PROOF_… settings of sign_customer.py."""

import json
import os
import secrets
import sys
import time
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jwt

PAGE = Path(__file__).with_name("host.html")
# Your shop's own sessions: a cookie that nobody can guess, and whom it stands for.
SESSIONS: dict[str, str] = {}


def token_for(customer: str) -> str:
    """As ../sign_customer.py does: made when it is asked for, good for five minutes."""
    now = int(time.time())
    who = {"iss": os.environ["PROOF_ISSUER"], "aud": os.environ["PROOF_AUDIENCE"], "sub": customer}
    return jwt.encode({**who, "iat": now, "exp": now + 300}, os.environ["PROOF_SECRET"], algorithm="HS256")


class Shop(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        at = urlsplit(self.path)
        if at.path in {"/", "/host.html"}:
            self.answer(200, PAGE.read_bytes(), {"content-type": "text/html; charset=utf-8"})
        elif at.path == "/sign-in":
            # Here your shop asks for a password. This one believes everybody, so it listens to this machine alone.
            customer = parse_qs(at.query).get("customer", ["c-1007"])[0]
            session = secrets.token_urlsafe(32)
            SESSIONS[session] = customer
            self.answer(303, b"", {"location": "/host.html", "set-cookie": f"session={session}; Path=/; HttpOnly; SameSite=Lax"})
        elif at.path == "/sign-out":
            SESSIONS.pop(self.session(), None)
            self.answer(303, b"", {"location": "/host.html", "set-cookie": "session=; Path=/; Max-Age=0"})
        elif at.path == "/makegood-token":
            # For whoever is signed in here, read from the cookie alone; 401 is a guest. No CORS: no other page gets one.
            customer = SESSIONS.get(self.session())
            said = {"token": token_for(customer)} if customer else {}
            headers = {"content-type": "application/json", "cache-control": "no-store"}
            self.answer(200 if customer else 401, json.dumps(said).encode(), headers)
        else:
            self.answer(404, b"", {})

    def session(self) -> str:
        try:
            found = SimpleCookie(self.headers.get("cookie", "")).get("session")
        except CookieError:
            return ""
        return found.value if found else ""

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Not each request."""


if __name__ == "__main__":
    missing = [name for name in ("PROOF_SECRET", "PROOF_ISSUER", "PROOF_AUDIENCE") if not os.environ.get(name)]
    if missing:
        sys.exit(f"set {', '.join(missing)}, as for sign_customer.py")
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Shop)
    print(f"listening on http://127.0.0.1:{server.server_port}/host.html", file=sys.stderr, flush=True)
    server.serve_forever()
