"""A receiver of the standard library and standardwebhooks: verifies, does the work once, answers."""
import os
import sqlite3
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["BILLING_SECRET"])
largest = 2 * 1024 * 1024


def once(key: str, body: bytes) -> bool:
    db = sqlite3.connect(os.environ["BILLING_DATABASE"], isolation_level=None, timeout=5)
    try:
        db.execute("begin immediate")
        new = db.execute("insert or ignore into handled (idempotency_key) values (?)", (key,)).rowcount == 1
        if new:  # do the work here, in the same transaction
            db.execute("insert into invoices (body) values (?)", (body.decode(),))
        db.execute("commit")
        return new
    finally:
        db.close()  # rolls back what was not committed


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        if length > largest:
            self.close_connection = True
            return self.answer(413)
        body = self.rfile.read(length)
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            webhook.verify(body, headers)
        except WebhookVerificationError:
            return self.answer(401)
        try:
            once(headers["idempotency-key"], body)
        except sqlite3.OperationalError:  # locked, or away: costs the message nothing
            return self.answer(503, {"retry-after": "5"})
        return self.answer(204)

    def answer(self, status: int, headers: dict[str, str] = {}) -> None:
        self.send_response(status)
        for name, value in {"content-length": "0", **headers}.items():
            if status != 204 or name != "content-length":
                self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


setup = sqlite3.connect(os.environ["BILLING_DATABASE"])
setup.execute("create table if not exists handled (idempotency_key text primary key)")
setup.execute("create table if not exists invoices (body text)")
setup.close()
server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8090"))), Receiver)
print(server.server_port, flush=True)
server.serve_forever()
