"""A small ACME server (RFC 8555) with an authority of its own: it checks what clients sign, fetches its http-01 challenges over the network that it runs in, and
gives certificates for as long as it was told.

    acme.py DIR ADDRESS PORT SECONDS NAME=WHERE...

DIR holds its authority (ca.pem, what it was before is found again) and `seen`, a line for each thing that happened. It leads each NAME to WHERE, as DNS would; others lead nowhere."""
import base64, datetime, hashlib, http.client, http.server, ipaddress, json, os, secrets, socket, ssl, sys, threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ERROR = "urn:ietf:params:acme:error:"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def name_of(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])


def pem(cert):
    return cert.public_bytes(serialization.Encoding.PEM).decode()


class Problem(Exception):
    def __init__(self, kind, detail, status=400):
        super().__init__(detail)
        self.kind, self.detail, self.status = kind, detail, status


class Authority:
    """A root, and below it who signs; both are kept in DIRECTORY."""

    def __init__(self, directory):
        path = f"{directory}/authority"
        if not os.path.exists(path):
            self.make(path)
        with open(path, "rb") as f:
            data = f.read()
        self.key = serialization.load_pem_private_key(data, None)
        self.cert, self.root = x509.load_pem_x509_certificates(data)
        with open(f"{directory}/ca.pem", "w") as f:
            f.write(pem(self.root))

    @staticmethod
    def make(path):
        root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        root = Authority.sign("A root for tests", "A root for tests", root_key.public_key(), root_key, 86400 * 365, is_authority=True)
        cert = Authority.sign("Who signs for tests", "A root for tests", key.public_key(), root_key, 86400 * 365, is_authority=True)
        with open(path, "wb") as f:
            f.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
            f.write((pem(cert) + pem(root)).encode())

    @staticmethod
    def sign(subject, issuer, public, key, seconds, is_authority=False, names=()):
        now = datetime.datetime.now(datetime.timezone.utc)
        made = (x509.CertificateBuilder().subject_name(name_of(subject)).issuer_name(name_of(issuer)).public_key(public)
                .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(seconds=1))
                .not_valid_after(now + datetime.timedelta(seconds=seconds))
                .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
                .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
                .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=is_authority, crl_sign=is_authority, content_commitment=False, key_encipherment=False,
                                             data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False), critical=True))
        if names:
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=not subject)
            made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        return made.sign(key, hashes.SHA256())

    def issue(self, public, names, seconds):
        return self.sign("", "Who signs for tests", public, self.key, seconds, names=names)


class Server:
    def __init__(self, directory, address, port, seconds, names):
        self.directory, self.seconds, self.names = directory, seconds, names
        self.authority = Authority(directory)
        self.base = f"https://{address}:{port}"
        self.nonces, self.accounts, self.orders, self.certs = set(), {}, {}, {}
        self.lock = threading.Lock()

    def saw(self, *words):
        with self.lock, open(f"{self.directory}/seen", "a") as f:
            f.write(" ".join(words) + "\n")

    def nonce(self):
        with self.lock:
            self.nonces.add(one := secrets.token_urlsafe(16))
        return one

    def opened(self, url, body):
        """The payload of a JWS, after its signature, nonce and URL were checked, and the thumbprint of who signed it (RFC 7515, RFC 8555 section 6)."""
        jws = json.loads(body)
        head = json.loads(unb64(jws["protected"]))
        if head.get("url") != url or head.get("alg") != "ES256" or ("jwk" in head) == ("kid" in head):
            raise Problem("malformed", "the protected header is not what it should be")
        with self.lock:
            if head.get("nonce") not in self.nonces:
                raise Problem("badNonce", "that nonce was not given out")
            self.nonces.remove(head["nonce"])
        jwk = head["jwk"] if "jwk" in head else self.accounts.get(head["kid"])
        if not jwk:
            raise Problem("accountDoesNotExist", "nobody has that account")
        numbers = ec.EllipticCurvePublicNumbers(*(int.from_bytes(unb64(jwk[c])) for c in "xy"), ec.SECP256R1())
        mark = unb64(jws["signature"])
        numbers.public_key().verify(utils.encode_dss_signature(int.from_bytes(mark[:32]), int.from_bytes(mark[32:])),
                                    f"{jws['protected']}.{jws['payload']}".encode(), ec.ECDSA(hashes.SHA256()))
        canonical = json.dumps({k: jwk[k] for k in ("crv", "kty", "x", "y")}, separators=(",", ":"), sort_keys=True)
        return json.loads(unb64(jws["payload"]) or "null"), jwk, b64(hashlib.sha256(canonical.encode()).digest())

    def directory_get(self):
        return 200, {k: f"{self.base}/{k}" for k in ("newNonce", "newAccount", "newOrder")} | {"meta": {"termsOfService": f"{self.base}/terms"}}, {}

    def new_account(self, payload, jwk, thumb):
        url = f"{self.base}/account/{thumb}"
        if url not in self.accounts:
            if payload.get("onlyReturnExisting"):
                raise Problem("accountDoesNotExist", "nobody has that account")
            if not payload.get("termsOfServiceAgreed"):
                raise Problem("userActionRequired", "the terms were not agreed to")
            self.accounts[url] = jwk
            self.saw("account", *payload.get("contact", []))
            return 201, {"status": "valid"}, {"Location": url}
        return 200, {"status": "valid"}, {"Location": url}

    def new_order(self, payload, jwk, thumb):
        (one,) = payload["identifiers"]
        self.saw("order", one["value"])
        number = secrets.token_hex(8)
        self.orders[number] = {"name": one["value"], "token": secrets.token_urlsafe(32), "status": "pending", "auth": "pending", "thumb": thumb, "error": None}
        return 201, self.order_json(number), {"Location": f"{self.base}/order/{number}"}

    def order_json(self, number):
        o = self.orders[number]
        return {"status": o["status"], "identifiers": [{"type": "dns", "value": o["name"]}], "authorizations": [f"{self.base}/auth/{number}"],
                "finalize": f"{self.base}/finalize/{number}", "certificate": f"{self.base}/cert/{number}"}

    def challenge_json(self, number):
        o = self.orders[number]
        return {"type": "http-01", "url": f"{self.base}/challenge/{number}", "token": o["token"], "status": o["auth"], **({"error": o["error"]} if o["error"] else {})}

    def order(self, number):
        return 200, self.order_json(number), {}

    def auth(self, number):
        o = self.orders[number]
        other = {"type": "dns-01", "url": f"{self.base}/never/{number}", "token": o["token"], "status": "pending"}
        return 200, {"status": o["auth"], "identifier": {"type": "dns", "value": o["name"]}, "challenges": [other, self.challenge_json(number)]}, {}

    def challenge(self, number, payload):
        o = self.orders[number]
        if o["auth"] == "pending" and payload is not None:
            why = self.fetch(o)
            o["auth"], o["status"] = ("invalid", "invalid") if why else ("valid", "ready")
            o["error"] = {"type": ERROR + "connection", "detail": why} if why else None
            self.saw("challenge", o["name"], o["auth"])
        return 200, self.challenge_json(number), {}

    def fetch(self, o):
        """What is wrong with the answer."""
        where = self.names.get(o["name"])
        if not where:
            return f"DNS problem: nobody knows {o['name']}"
        try:
            link = http.client.HTTPConnection(where, 80, timeout=5)
            link.request("GET", f"/.well-known/acme-challenge/{o['token']}", headers={"Host": o["name"]})
            answer = link.getresponse()
            text = answer.read(1024).decode().rstrip()
        except OSError as e:
            return f"{where}: {e}"
        return None if answer.status == 200 and text == f"{o['token']}.{o['thumb']}" else f"{where}: the wrong answer: {answer.status} {text[:40]}"

    def finalize(self, number, payload):
        o = self.orders[number]
        request = x509.load_der_x509_csr(unb64(payload["csr"]))
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
        if o["status"] != "ready" or not request.is_signature_valid or names != [o["name"]]:
            raise Problem("badCSR", "the request is not for what was ordered")
        cert = self.authority.issue(request.public_key(), [x509.DNSName(o["name"])], self.seconds)
        self.certs[number] = pem(cert) + pem(self.authority.cert)
        o["status"] = "valid"
        self.saw("issued", o["name"], f"{cert.serial_number:x}")
        return 200, self.order_json(number), {}

    def cert(self, number):
        return 200, self.certs[number], {}

    def post(self, path, body):
        payload, jwk, thumb = self.opened(self.base + path, body)
        what, _, number = path[1:].partition("/")
        if what in ("newAccount", "newOrder"):
            return {"newAccount": self.new_account, "newOrder": self.new_order}[what](payload, jwk, thumb)
        if number not in self.orders or self.orders[number]["thumb"] != thumb:
            raise Problem("unauthorized", "that is somebody else's", 403)
        if what in ("challenge", "finalize"):
            return getattr(self, what)(number, payload)
        if what in ("order", "auth", "cert") and payload is None:
            return getattr(self, what)(number)
        raise Problem("malformed", "there is no such thing", 404)


def handler(server):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status, body, headers, kind="application/json"):
            text = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            for k, v in {"Replay-Nonce": server.nonce(), "Content-Type": kind, "Content-Length": str(len(text)), **headers}.items():
                self.send_header(k, v)
            self.end_headers()
            if status != 204:
                self.wfile.write(text)

        def do_GET(self):
            if self.path == "/directory":
                self.answer(*server.directory_get())
            else:
                self.answer(204 if self.path == "/newNonce" else 404, "", {"Content-Length": "0"})

        do_HEAD = do_GET

        def do_POST(self):
            try:
                status, body, headers = server.post(self.path, self.rfile.read(min(int(self.headers["Content-Length"]), 1 << 16)))
                self.answer(status, body, headers, "application/pem-certificate-chain" if isinstance(body, str) else "application/json")
            except Problem as e:
                self.answer(e.status, {"type": ERROR + e.kind, "detail": e.detail}, {}, "application/problem+json")

        def log_message(self, *_):
            pass
    return Handler


def main():
    directory, address, port, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    server = Server(directory, address, port, seconds, dict(word.split("=") for word in sys.argv[5:]))
    key = ec.generate_private_key(ec.SECP256R1())
    own = server.authority.issue(key.public_key(), [x509.IPAddress(ipaddress.ip_address(address))], 86400)
    with open(f"{directory}/own", "wb") as f:
        f.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        f.write((pem(own) + pem(server.authority.cert)).encode())
    web = http.server.ThreadingHTTPServer((address, port), handler(server))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(f"{directory}/own")
    web.socket = tls.wrap_socket(web.socket, server_side=True)
    print("it listens", flush=True)
    web.serve_forever()


if __name__ == "__main__":
    main()
