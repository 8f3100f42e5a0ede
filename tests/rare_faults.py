"""Faults of a server that are rarer than a drop, for `FaultServer.script`."""

from tests.fault_server import Fault, Handler, etag, serve


def silence(handler: Handler) -> None:
    """No answer at all, until the client gives up."""
    handler.owner.closing.wait(20)
    handler.close_connection = True


def no_answer(handler: Handler) -> None:
    """The connection is closed before the answer."""
    handler.close_connection = True


def raw(content: bytes) -> Fault:
    """Something that is no HTTP."""

    def fault(handler: Handler) -> None:
        handler.wfile.write(content)
        handler.close_connection = True

    return fault


def chunked(body: bytes, *, cut: bool = False) -> Fault:
    """An answer of unknown length, in one chunk; `cut`: its end never comes."""

    def fault(handler: Handler) -> None:
        validator = {"ETag": etag(handler.content)} if handler.content else {}
        handler.head(200, {**validator, "Transfer-Encoding": "chunked"})
        handler.wfile.write(b"%x\r\n" % (len(body) + cut) + body + (b"" if cut else b"\r\n0\r\n\r\n"))
        handler.owner.sent.append((handler.path, 0, len(body)))
        handler.close_connection = cut

    return fault


def damaged(handler: Handler) -> None:
    """The file with one bit that flipped on its way."""
    content = handler.content or b""
    handler.head(200, {"ETag": etag(content), "Content-Length": str(len(content))})
    handler.send(flipped(content))


def becoming(content: bytes, fault: Fault | None = None) -> Fault:
    """From this request on the file is another one."""

    def change(handler: Handler) -> None:
        handler.owner.files[handler.path] = content
        (fault or serve)(handler)

    return change


def flipped(content: bytes) -> bytes:
    """One bit is another."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def ignoring_and_dropping(num_bytes: int) -> Fault:
    """The file from its start, whatever was asked for, and not to its end."""
    return lambda handler: serve(handler, limit=num_bytes, ignore_range=True)


def short_range(num_bytes: int) -> Fault:
    """A good 206, of fewer bytes than were asked for."""

    def fault(handler: Handler) -> None:
        content, start = _asked(handler)
        span = {"Content-Range": f"bytes {start}-{start + num_bytes - 1}/{len(content)}", "ETag": etag(content)}
        handler.head(206, {**span, "Content-Length": str(num_bytes)})
        handler.send(content[start : start + num_bytes], start)

    return fault


def other_version(handler: Handler) -> None:
    """A 206 of another version of the file, though If-Range forbids it."""
    content, start = _asked(handler)
    span = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}", "ETag": '"another"'}
    handler.head(206, {**span, "Content-Length": str(len(content) - start)})
    handler.close_connection = True


def stall_of_a_range(handler: Handler) -> None:
    """The head of a good 206, then nothing."""
    content, start = _asked(handler)
    span = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}", "ETag": etag(content)}
    handler.head(206, {**span, "Content-Length": str(len(content) - start)})
    handler.wfile.flush()
    silence(handler)


def trickle(handler: Handler) -> None:
    """A byte now and then: never silent, never useful."""
    content, start = _asked(handler)
    headers = {"ETag": etag(content), "Content-Length": str(len(content) - start)}
    if start:
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
    handler.head(206 if start else 200, headers)
    try:
        for i in range(start, len(content)):
            handler.wfile.write(content[i : i + 1])
            handler.wfile.flush()
            if handler.owner.closing.wait(0.02):
                break
    except OSError:
        pass  # the client has had enough
    handler.close_connection = True


def _asked(handler: Handler) -> tuple[bytes, int]:
    """The file, and the first byte of it that is wanted."""
    wanted = handler.headers.get("Range", "bytes=0-").removeprefix("bytes=")
    return handler.content or b"", int(wanted.partition("-")[0])
