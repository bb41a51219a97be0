"""A server of this process, in a thread of its own."""

import contextlib
import socketserver
import threading


@contextlib.contextmanager
def in_thread(server: socketserver.BaseServer):
    """Starts a server that listens, and ends it."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
