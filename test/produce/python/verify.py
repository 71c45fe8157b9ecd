"""Verifies requests, given as JSON on stdin, with the reference library; each one also with a byte changed."""
import base64
import json
import sys

from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

webhook = Webhook(sys.argv[1])
verified = forged = 0
for request in json.load(sys.stdin):
    body = base64.b64decode(request["body"])
    webhook.verify(body, request["headers"])
    verified += 1
    try:
        webhook.verify(body.replace(b"{", b"[", 1), request["headers"])
        forged += 1
    except WebhookVerificationError:
        pass

print(json.dumps({"verified": verified, "forged": forged}))
