"""An MCP server over standard input and output that does what its tools are told to do.

It handles one message after the other and never waits within one: a call that is answered later is kept in `held`.
"""

import json
import os
import signal
import subprocess
import sys

VERSIONS = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]
seen = []  # All messages of the client, as they came.
held = {}  # Calls that are answered later: by a key of the caller's choice.
waiting = []  # Calls that are answered once a message is seen: (id, method, count).
asked = {}  # Own requests: their ids to the ids of the calls that made them.
gathered = {}  # Answers to calls that asked several things at once: by the ids of the calls.
own_ids = 0


def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def result(id, value):
    send({"id": id, "result": value})


def text(id, value):
    result(id, {"content": [{"type": "text", "text": value if isinstance(value, str) else json.dumps(value)}]})


def notify(method, params=None):
    send({"method": method, **({} if params is None else {"params": params})})


def matching(method):
    return [message for message in seen if message.get("method") == method]


def call(id, params):
    global own_ids
    name, args, meta = params["name"], params.get("arguments", {}), params.get("_meta", {})
    token = meta.get("progressToken")
    if name == "echo":
        text(id, {"id": id, "arguments": args, "meta": meta})
    elif name == "hold":
        held[args["key"]] = id
        if token is not None:
            notify("notifications/progress", {"progressToken": token, "progress": 0, "message": args["key"]})
    elif name == "release":
        text(held.pop(args["key"]), args["key"])
        text(id, "released")
    elif name == "progress":
        for step in range(args["steps"]):
            notify("notifications/progress", {"progressToken": token, "progress": step, "message": args["text"]})
        text(id, args["text"])
    elif name == "ask":
        own_ids += 1
        asked[own_ids] = (id, args.get("then"))
        send({"id": own_ids, "method": args["method"], "params": args.get("params", {})})
        if args.get("withdraw"):
            notify("notifications/cancelled", {"requestId": own_ids, "reason": "changed its mind"})
    elif name == "ask_all":
        gathered[id] = {"wanted": len(args["requests"]), "answers": {}}
        for request in args["requests"]:
            own_ids += 1
            asked[own_ids] = (id, None)
            send({"id": own_ids, **request})
    elif name == "await":
        waiting.append((id, args["method"], args.get("count", 1)))
        look()
    elif name == "seen":
        text(id, seen)
    elif name == "die":
        os._exit(args.get("code", 3))
    elif name == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif name == "noise":
        sys.stdout.write("Listening on nothing\n\n[1,2\n\x00\x01{}\n{\"jsonrpc\":\"1.0\"}\n")
        sys.stdout.buffer.write(b"\xff\xfe\n")
        print("a word to the log", file=sys.stderr, flush=True)
        text(id, "still here")
    elif name == "notify":
        for notification in args["notifications"]:
            notify(notification["method"], notification.get("params"))
        text(id, "notified")
    elif name == "flood":
        for number in range(args["messages"]):
            notify("notifications/message", {"level": "info", "data": str(number) + "x" * args["bytes"]})
        text(id, "flooded")
    elif name == "big":
        text(id, "x" * args["bytes"])
    elif name == "environment":
        text(id, {"args": sys.argv[1:], "env": dict(os.environ), "cwd": os.getcwd(), "group": os.getpgid(0)})
    elif name == "spawn":
        ignoring = "trap '' TERM; " if args.get("ignore_term") else ""
        child = subprocess.Popen(["sh", "-c", ignoring + "echo up; while :; do sleep 1; done"], stdout=subprocess.PIPE)
        child.stdout.readline()
        text(id, {"pid": child.pid})
    elif name == "close_stdout":
        os.close(1)
    elif name == "batch":
        print(json.dumps([{"jsonrpc": "2.0", "id": id, "result": {"content": [], "batch": True}}, [], 1]), flush=True)
    elif name == "refuse":
        send({"id": id, "error": {"code": args["code"], "message": "refused", "data": args.get("data")}})
    else:
        send({"id": id, "error": {"code": -32602, "message": "no such tool"}})


def look():
    """Answers the calls that wait for what has been seen by now."""
    for entry in list(waiting):
        id, method, count = entry
        if len(matching(method)) >= count:
            waiting.remove(entry)
            text(id, matching(method))


def answered(message):
    id, then = asked.pop(message["id"])
    if id in gathered:
        answers = gathered[id]["answers"]
        answers[message["id"]] = message.get("result")
        if len(answers) == gathered[id]["wanted"]:
            text(id, list(answers.values()))
    elif then:
        call(id, then)
    elif id is not None:
        text(id, {key: message[key] for key in ("result", "error") if key in message})


def handle(message):
    global own_ids
    seen.append(message)
    look()
    method, id, params = message.get("method"), message.get("id"), message.get("params", {})
    if method is None:
        answered(message)
    elif method == "initialize" and "--refuse" in sys.argv and len(matching(method)) == 1:
        send({"id": id, "error": {"code": -32000, "message": "not today", "data": [1]}})
    elif method == "initialize":
        version = params["protocolVersion"]
        capabilities = {name: {"listChanged": True} for name in ("tools", "prompts")}
        capabilities["resources"] = {"listChanged": True, "subscribe": True}
        capabilities["tasks"] = {}
        result(id, {
            "protocolVersion": version if version in VERSIONS else VERSIONS[-1],
            "capabilities": capabilities,
            "serverInfo": {"name": "test-server", "version": "1", "pid": os.getpid()},
            "instructions": "Be \"nice\".",
        })
    elif method == "notifications/initialized" and "--roots" in sys.argv:
        own_ids += 1
        asked[own_ids] = (None, None)
        send({"id": own_ids, "method": "roots/list"})
    elif id is None:
        pass
    elif method == "tools/call":
        call(id, params)
    elif method == "tools/list":
        result(id, {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]})
    elif method in ("ping", "resources/subscribe", "resources/unsubscribe", "logging/setLevel"):
        result(id, {})
    elif method == "resources/read":
        send({"id": id, "error": {"code": -32002, "message": "no such resource"}})
    else:
        send({"id": id, "error": {"code": -32601, "message": "Method not found"}})


if "--stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "--exit" in sys.argv:
    sys.exit(7)
if "--once" in sys.argv:
    # Runs only as often as the file that comes next has lines.
    path = sys.argv[sys.argv.index("--once") + 1]
    with open(path) as file:
        lines = file.readlines()
    with open(path, "w") as file:
        file.writelines(lines[1:])
    if not lines:
        sys.exit(8)
for line in sys.stdin:
    handle(json.loads(line))
while "--stubborn" in sys.argv:
    signal.pause()
