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
        new = db.execute("insert or ignore into handled (webhook_id) values (?)", (key,)).rowcount == 1
        if new:  # do the work here, in the same transaction
            db.execute("insert into invoices (body) values (?)", (body.decode(),))
        db.execute("commit")
        return new
    finally:
        db.close()  # rolls back what was not committed


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds without a byte: whoever sends none holds no thread

    def do_POST(self) -> None:
        self.close_connection = True  # until the body is read: what follows it could not be told apart
        lengths = self.headers.get_all("content-length", [])
        length = lengths[0] if len(lengths) == 1 else ""
        if not (length.isascii() and length.isdigit()) or "transfer-encoding" in self.headers:
            return self.answer(411)  # read(-1) would wait for the end of the connection; the sender always says how long
        if len(length) > 9 or int(length) > largest:
            return self.answer(413)
        if not all(self.headers.get(f"webhook-{name}") for name in ("id", "timestamp", "signature")):
            return self.answer(401)  # before a byte of it is in memory
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            return None  # it broke off: there is nobody to answer
        self.close_connection = False
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            webhook.verify(body, headers)
        except WebhookVerificationError:
            return self.answer(401)
        except ValueError:  # signed, and no JSON
            return self.answer(422)
        try:
            once(headers["webhook-id"], body)  # signed; idempotency-key is not
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
setup.execute("create table if not exists handled (webhook_id text primary key)")
setup.execute("create table if not exists invoices (body text)")
setup.close()
server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8090"))), Receiver)
print(server.server_port, flush=True)
server.serve_forever()
