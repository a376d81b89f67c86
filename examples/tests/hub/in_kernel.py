"""Runs code in a kernel of a notebook server, by the API that JupyterLab uses. Prints what the code printed."""

import asyncio
import json
import sys
import uuid

from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect


async def run(server, token, code):
    headers = {"Authorization": f"token {token}"}
    client = AsyncHTTPClient()
    made = await client.fetch(f"{server}api/kernels", method="POST", headers=headers, body="{}")
    kernel = json.loads(made.body)["id"]
    channels = f"{server.replace('http', 'ws', 1)}api/kernels/{kernel}/channels"
    socket = await websocket_connect(HTTPRequest(channels, headers=headers))
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "session": uuid.uuid4().hex}
    content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
    parts = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    await socket.write_message(json.dumps(parts))
    is_done = False
    while not is_done:
        message = json.loads(await socket.read_message())
        if message["parent_header"].get("msg_id") != header["msg_id"]:
            continue
        content = message["content"]
        if message["msg_type"] == "stream":
            print(content["text"], end="")
        elif message["msg_type"] == "error":
            print("\n".join(content["traceback"]), file=sys.stderr)
        is_done = message["msg_type"] == "status" and content["execution_state"] == "idle"
    socket.close()
    await client.fetch(f"{server}api/kernels/{kernel}", method="DELETE", headers=headers)


asked = json.load(sys.stdin)
asyncio.run(asyncio.wait_for(run(asked["server"], asked["token"], asked["code"]), 120))
