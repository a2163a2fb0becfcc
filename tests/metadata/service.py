"""The metadata service, as far as it is asked here: files, and a session's token for whoever wants one. Beside it an object store, which takes what is
signed with one key as Signature Version 4 has it (AWS General Reference, "Create a signed AWS API request").

usage: service.py FOLDER KEY-ID KEY
"""

import hashlib
import hmac
import http.server
import socket
import sys

folder, key_id, key = sys.argv[1:]


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *args):
        super().__init__(*args, directory=folder)

    def do_PUT(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path == "/latest/api/token":
            self.answer(200, b"token")
        else:
            self.answer(200 if self.is_signed(body) else 403, b"")

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def is_signed(self, body):
        algorithm, _, rest = self.headers.get("authorization", "").partition(" ")
        fields = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
        if algorithm != "AWS4-HMAC-SHA256" or not fields.keys() >= {"Credential", "SignedHeaders", "Signature"}:
            return False
        signer, *scope = fields["Credential"].split("/")
        if signer != key_id or len(scope) != 4:
            return False
        headers = "".join(f"{name}:{self.headers.get(name, '').strip()}\n" for name in fields["SignedHeaders"].split(";"))
        request = "\n".join([self.command, self.path, "", headers, fields["SignedHeaders"], hashlib.sha256(body).hexdigest()])
        text = "\n".join([algorithm, self.headers["x-amz-date"], "/".join(scope), hashlib.sha256(request.encode()).hexdigest()])
        secret = f"AWS4{key}".encode()
        for part in scope:
            secret = mac(secret, part)
        return hmac.compare_digest(mac(secret, text).hex(), fields["Signature"])


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


Server(("::", 80), Handler).serve_forever()
