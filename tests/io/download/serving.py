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
    with Server(content, list(answers) or [whole()]) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def whole(cut: int | None = None, **headers: object) -> Answer:
    """All of the file; after `cut` bytes of it the connection is closed."""
    return lambda handler, content: handler.say(200, content[:cut], **{"Content_Length": len(content), **headers})


def status(code: int, body: bytes = b"", **headers: object) -> Answer:
    return lambda handler, content: handler.say(code, body, **headers)
