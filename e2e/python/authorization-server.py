"""A plain OAuth 2.0 authorization server made with Authlib, without OpenID Connect, on loopback.

It has metadata (RFC 8414), open registration (RFC 7591) and its management (RFC 7592), PKCE with S256 alone, rotating refresh
tokens whose second use ends the login, revocation (RFC 7009), and introspection (RFC 7662) for the one resource server that the
arguments name. Everything is in memory. It prints one JSON line when it listens and one for whatever happens.
"""

import argparse
import hashlib
import json
import logging
import os
import sys
import time
from dataclasses import dataclass, field
from secrets import token_urlsafe

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

from authlib.integrations.flask_oauth2 import AuthorizationServer  # noqa: E402
from authlib.oauth2 import OAuth2Error  # noqa: E402
from authlib.oauth2.rfc6749 import InvalidGrantError, grants  # noqa: E402
from authlib.oauth2.rfc7009 import RevocationEndpoint  # noqa: E402
from authlib.oauth2.rfc7591 import ClientRegistrationEndpoint  # noqa: E402
from authlib.oauth2.rfc7592 import ClientConfigurationEndpoint  # noqa: E402
from authlib.oauth2.rfc7636 import CodeChallenge  # noqa: E402
from authlib.oauth2.rfc7662 import IntrospectionEndpoint  # noqa: E402
from flask import Flask, jsonify, render_template_string, request  # noqa: E402
from werkzeug.serving import make_server  # noqa: E402

SCOPES = ["mcp:tools"]
METHODS = ["client_secret_basic", "client_secret_post", "none"]

arguments = argparse.ArgumentParser()
arguments.add_argument("--port", type=int, default=0)
arguments.add_argument("--access-token-seconds", type=int, default=3600)
arguments.add_argument("--resource-server", default="mcp-server", help="client_id for introspection")
arguments.add_argument("--resource-server-secret", required=True)
args = arguments.parse_args()


def say(**event):
    print(json.dumps(event), flush=True)


def record_secret(value):
    """For the search of the log of the program under test, as preload.mjs does."""
    if value and (path := os.environ.get("THV_E2E_SECRETS")):
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{value}\n")


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class Client:
    """A registration."""

    client_info: dict
    client_metadata: dict
    management_token: str = ""

    @property
    def client_id(self):
        return self.client_info["client_id"]

    def get_client_id(self):
        return self.client_id

    def get_default_redirect_uri(self):
        return self.client_metadata["redirect_uris"][0]

    def get_allowed_scope(self, scope):
        return " ".join(one for one in (scope or "").split() if one in SCOPES)

    def check_redirect_uri(self, redirect_uri):
        return redirect_uri in self.client_metadata["redirect_uris"]

    def check_client_secret(self, client_secret):
        return self.client_info.get("client_secret") == client_secret

    def check_endpoint_auth_method(self, method, endpoint):
        return self.client_metadata["token_endpoint_auth_method"] == method

    def check_response_type(self, response_type):
        return response_type == "code"

    def check_grant_type(self, grant_type):
        return grant_type in self.client_metadata.get("grant_types", ["authorization_code"])

    def check_client(self, client):
        """For the management endpoint, where a client is its own token."""
        return client is self


@dataclass
class Code:
    """An authorization code."""

    client_id: str
    user: str
    redirect_uri: str
    scope: str
    code_challenge: str
    expires_at: float = field(default_factory=lambda: time.time() + 60)
    code_challenge_method: str = "S256"

    def get_redirect_uri(self):
        return self.redirect_uri

    def get_scope(self):
        return self.scope


@dataclass
class Token:
    """An access token with its refresh token, and the login that it descends from."""

    client_id: str
    user: str
    login: str
    values: dict
    ends_at: float
    replaced: bool = False
    revoked: bool = False

    def check_client(self, client):
        return client.client_id == self.client_id

    def get_scope(self):
        return self.values.get("scope", "")


clients = {
    args.resource_server: Client(
        {"client_id": args.resource_server, "client_secret": args.resource_server_secret},
        {"redirect_uris": [], "grant_types": [], "token_endpoint_auth_method": "client_secret_basic"},
    )
}
codes = {}
by_access_token = {}
by_refresh_token = {}


def save_token(values, oauth_request):
    before = oauth_request.refresh_token
    user = oauth_request.user
    login = before.login if before else token_urlsafe(8)
    token = Token(oauth_request.client.client_id, user, login, values, time.time() + values["expires_in"])
    by_access_token[values["access_token"]] = token
    record_secret(values["access_token"])
    if "refresh_token" in values:
        by_refresh_token[values["refresh_token"]] = token
        record_secret(values["refresh_token"])
    grant = oauth_request.payload.grant_type
    say(event="token", grant=grant, account=user, client=token.client_id, sha256=sha256(values["access_token"]))


def end_login(login):
    for token in by_access_token.values():
        token.revoked = token.revoked or token.login == login


def find(token_string):
    return by_access_token.get(token_string) or by_refresh_token.get(token_string)


app = Flask(__name__)
app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
app.config["OAUTH2_TOKEN_EXPIRES_IN"] = dict.fromkeys(
    ["authorization_code", "refresh_token"], args.access_token_seconds
)
server = AuthorizationServer(app, clients.get, save_token)


class AuthorizationCodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    def save_authorization_code(self, code, oauth_request):
        data = oauth_request.payload.data
        record_secret(code)
        codes[code] = Code(
            oauth_request.client.client_id,
            oauth_request.user,
            oauth_request.payload.redirect_uri,
            oauth_request.payload.scope,
            data["code_challenge"],
        )

    def query_authorization_code(self, code, client):
        found = codes.get(code)
        if found and found.client_id == client.client_id and found.expires_at > time.time():
            return found

    def delete_authorization_code(self, authorization_code):
        for code in [code for code, value in codes.items() if value is authorization_code]:
            del codes[code]

    def authenticate_user(self, authorization_code):
        return authorization_code.user


class S256(CodeChallenge):
    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]

    def validate_code_challenge(self, grant, redirect_uri):
        if grant.request.payload.data.get("code_challenge_method") != "S256":
            raise grants.authorization_code.InvalidRequestError("PKCE with S256 is required")
        super().validate_code_challenge(grant, redirect_uri)


class RefreshTokenGrant(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token):
        token = by_refresh_token.get(refresh_token)
        if token and token.replaced:
            say(event="reused", account=token.user)
            end_login(token.login)
            raise InvalidGrantError("the refresh token was used before")
        if token and not token.revoked:
            return token

    def authenticate_user(self, refresh_token):
        return refresh_token.user

    def revoke_old_credential(self, refresh_token):
        refresh_token.replaced = True


class Metadata:
    """What the registration endpoints have in common."""

    def get_server_metadata(self):
        return metadata()

    def generate_client_registration_info(self, client, oauth_request):
        return {
            "registration_client_uri": f"{issuer}/clients/{client.client_id}",
            "registration_access_token": client.management_token,
        }


class Registration(Metadata, ClientRegistrationEndpoint):
    def authenticate_token(self, oauth_request):
        return "anybody may register"

    def save_client(self, client_info, client_metadata, oauth_request):
        client_metadata.setdefault("token_endpoint_auth_method", "client_secret_basic")
        if client_metadata["token_endpoint_auth_method"] == "none":
            del client_info["client_secret"]
        client = Client(client_info, client_metadata, token_urlsafe(32))
        clients[client.client_id] = client
        record_secret(client_info.get("client_secret"))
        record_secret(client.management_token)
        say(event="registered", client=client.client_id)
        return client


class Management(Metadata, ClientConfigurationEndpoint):
    def authenticate_token(self, oauth_request):
        presented = request.headers.get("Authorization", "").removeprefix("Bearer ")
        client = clients.get(request.view_args["client_id"])
        if client and client.management_token and client.management_token == presented:
            return client

    def authenticate_client(self, oauth_request):
        return clients.get(request.view_args["client_id"])

    def check_permission(self, client, oauth_request):
        return True

    def update_client(self, client, client_metadata, oauth_request):
        client.client_metadata = {**client.client_metadata, **client_metadata}
        say(event="updated", client=client.client_id)
        return client

    def delete_client(self, client, oauth_request):
        del clients[client.client_id]
        say(event="deleted", client=client.client_id)


class Revocation(RevocationEndpoint):
    CLIENT_AUTH_METHODS = METHODS

    def query_token(self, token_string, token_type_hint):
        return find(token_string)

    def revoke_token(self, token, oauth_request):
        kind = "access_token" if oauth_request.form["token"] in by_access_token else "refresh_token"
        say(event="revoked", token=kind, account=token.user)
        if kind == "refresh_token":
            end_login(token.login)
        token.revoked = True


class Introspection(IntrospectionEndpoint):
    CLIENT_AUTH_METHODS = ["client_secret_basic"]

    def query_token(self, token_string, token_type_hint):
        token = by_access_token.get(token_string)
        if token and not token.revoked and token.ends_at > time.time():
            return token

    def check_permission(self, token, client, oauth_request):
        return client.client_id == args.resource_server

    def introspect_token(self, token):
        return {"active": True, "sub": token.user, "client_id": token.client_id, "scope": token.get_scope()}

    def create_introspection_payload(self, token):
        return self.introspect_token(token) if token else {"active": False}


server.register_grant(AuthorizationCodeGrant, [S256(required=True)])
server.register_grant(RefreshTokenGrant)
for endpoint in [Registration, Management, Revocation, Introspection]:
    server.register_endpoint(endpoint)

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Second provider</title><link rel="icon" href="data:,"></head>
<body><h1>Second provider</h1><p>{{ client }} wants to use your account here.</p>
<form method="post"><label>Account <input name="account" required></label>
<button name="decision" value="approve">Allow</button> <button name="decision" value="deny">Refuse</button></form></body></html>"""


def metadata():
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "registration_endpoint": f"{issuer}/register",
        "revocation_endpoint": f"{issuer}/revoke",
        "introspection_endpoint": f"{issuer}/introspect",
        "scopes_supported": SCOPES,
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": METHODS,
        "revocation_endpoint_auth_methods_supported": METHODS,
        "code_challenge_methods_supported": ["S256"],
    }


@app.get("/.well-known/oauth-authorization-server")
def discovery():
    say(event="discovery")
    return jsonify(metadata())


@app.route("/authorize", methods=["GET", "POST"])
def authorize():
    try:
        grant = server.get_consent_grant()
    except OAuth2Error as error:
        say(event="error", at="authorize", message=str(error))
        return str(error), 400
    if request.method == "GET":
        client = grant.client.client_metadata.get("client_name") or "A client"
        return render_template_string(PAGE, client=client)
    approved = request.form.get("decision") == "approve"
    account = request.form["account"]
    say(event="authorized" if approved else "declined", account=account, client=grant.client.client_id)
    return server.create_authorization_response(grant_user=account if approved else None, grant=grant)


@app.post("/token")
def token_endpoint():
    return server.create_token_response()


@app.post("/register")
def register():
    return server.create_endpoint_response(Registration.ENDPOINT_NAME)


@app.route("/clients/<client_id>", methods=["GET", "PUT", "DELETE"])
def manage(client_id):
    return server.create_endpoint_response(Management.ENDPOINT_NAME)


@app.post("/revoke")
def revoke():
    return server.create_endpoint_response(Revocation.ENDPOINT_NAME)


@app.post("/introspect")
def introspect():
    return server.create_endpoint_response(Introspection.ENDPOINT_NAME)


@app.delete("/__admin/clients")
def forget_clients():
    """For tests: forgets every registration, as a provider does that lost its database."""
    for client_id in [client_id for client_id in clients if client_id != args.resource_server]:
        del clients[client_id]
    return "", 204


record_secret(args.resource_server_secret)
logging.getLogger("werkzeug").setLevel(logging.ERROR)
listener = make_server("127.0.0.1", args.port, app, threaded=True)
issuer = f"http://127.0.0.1:{listener.server_port}"
say(event="listening", issuer=issuer)
try:
    listener.serve_forever()
except KeyboardInterrupt:
    sys.exit(0)
