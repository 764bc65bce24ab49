"""A web server on this machine that serves one file, well or badly."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["Handler", bytes], None]


class Handler(BaseHTTPRequestHandler):
    """Gives each request to the server's next answer; the last of them answers all that follow."""

    server: "Server"

    def do_GET(self) -> None:
        self.server.seen.append(dict(self.headers))
        answers = self.server.answers
        with suppress(BrokenPipeError, ConnectionResetError):  # the client has had enough
            (answers.pop(0) if len(answers) > 1 else answers[0])(self, self.server.content)

    def say(self, status: int, body: bytes, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, content: bytes, answers: list[Answer]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.answers, self.seen = content, answers, list[dict[str, str]]()
        self.url = f"http://127.0.0.1:{self.server_port}/set.zip"


@contextmanager
def served(content: bytes, *answers: Answer) -> Iterator[Server]:
    with Server(content, list(answers) or [well()]) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def well(cut: int | None = None, **state: str) -> Answer:
    """As the standard has it; after `cut` bytes of an answer's body the connection is closed.

    `state`: ETag, Last_Modified; by default an ETag.
    """
    state = state or {"ETag": '"one"'}

    def answer(handler: Handler, content: bytes) -> None:
        start, asked = 0, handler.headers.get("Range")
        if asked is not None and handler.headers.get("If-Range") in (None, *state.values()):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(content) and start:
            handler.say(416, b"", Content_Range=f"bytes */{len(content)}")
            return
        body = content[start:]
        headers = {"Content_Length": len(body), **state}
        if start:
            headers["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.say(206 if start else 200, body[:cut], **headers)

    return answer


def status(code: int, body: bytes = b"", **headers: object) -> Answer:
    return lambda handler, content: handler.say(code, body, **headers)


def whole(**headers: object) -> Answer:
    """All of the file, whatever was asked for."""
    return lambda handler, content: handler.say(200, content, **headers)
