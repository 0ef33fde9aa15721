"""Real processes, a deck of test cards, and the network's end of a link."""

import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Self

import msgspec
import pytest

from hsm_emulator.lmk import VariantLmk
from processor.hsm.framing import HsmFramer, frame_message
from processor.iso8583.codec import PyisoCodec
from processor.iso8583.framing import VISA_FRAME, Framer
from processor.iso8583.message import Message
from processor.networks.adapters import DIALECTS
from processor.values.errors import FrameError

ROOT = Path(__file__).resolve().parents[2]
TEST_LMK_CHECK_VALUE = VariantLmk().check_value.encode()
PATIENCE_S = 20.0  # how long anything is waited for before the test fails


class Lines:
    """What a child writes to one of its pipes, line by line, read by a thread of its own."""

    def __init__(self, pipe: IO[str]) -> None:
        self._pipe = pipe
        self._lines: list[str] = []
        self._ended = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def all(self) -> list[str]:
        """The lines so far; every line there will ever be once the child has ended."""
        with self._news:
            return list(self._lines)

    def containing(self, text: str) -> list[str]:
        """The lines so far with ``text`` in them."""
        return [line for line in self.all() if text in line]

    def wait_for(self, text: str, count: int = 1) -> str:
        """The ``count``-th line with ``text`` in it, as soon as it is there; fails if it never comes."""
        with self._news:
            self._news.wait_for(lambda: self._ended or len(self._found(text)) >= count, PATIENCE_S)
            found = self._found(text)
        assert len(found) >= count, f"no line number {count} with {text!r} in {self._lines}"
        return found[count - 1]

    def join(self) -> None:
        """Read to the end and close the pipe."""
        self._reader.join(PATIENCE_S)
        self._pipe.close()

    def _found(self, text: str) -> list[str]:
        return [line for line in self._lines if text in line]

    def _read(self) -> None:
        for line in self._pipe:
            with self._news:
                self._lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()


class Child:
    """One process: ``out`` and ``log`` are its two outputs, ``address`` is where it listens."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("STANDIN_")}
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=inherited | environment,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.out, self.log = Lines(self.process.stdout), Lines(self.process.stderr)
        self.address = ("", 0)
        self._asked = 0

    def ready(self) -> Self:
        """Wait until it listens."""
        host, _, port = self.out.wait_for("listening ").split()[2].rpartition(":")
        self.address = (host, int(port))
        return self

    def reply_to(self, line: str) -> str:
        """Write a line to it, and wait for one more line of output."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        self._asked += 1
        return self.out.wait_for("", self._asked)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def ended(self) -> int:
        """Wait until it has ended by itself; its exit code."""
        code = self.process.wait(PATIENCE_S)
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.out.join()
        self.log.join()
        return code

    def kill(self) -> None:
        """``kill -9``."""
        self.process.kill()
        self.ended()

    def stop(self) -> dict[str, Any]:
        """SIGTERM, and then its last word."""
        self.process.terminate()
        return self.last_word()

    def last_word(self) -> dict[str, Any]:
        """What the line ``stopped`` says; fails unless it ends with 0."""
        assert self.ended() == 0, self.log.all()
        last = self.out.all()[-1]
        assert last.startswith("stopped "), last
        return dict(msgspec.json.decode(last.removeprefix("stopped ")))


class Launcher:
    """Starts the commands, and ends those that are still running when the fixture ends."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def child(self, *arguments: str, **environment: str) -> Child:
        """Any Python program."""
        child = Child(list(arguments), environment)
        self._children.append(child)
        return child

    def command(self, *arguments: str, **environment: str) -> Child:
        """One ``standin`` command."""
        return self.child("-m", "processor.cli.main", *arguments, **environment)

    def hsm(self, port: int = 0) -> Child:
        """The HSM emulator, ready."""
        return self.command("hsm", "--port", str(port), "--test-lmk").ready()

    def processor(
        self,
        state: Path,
        hsm: tuple[str, int],
        deck: Path | None = None,
        *,
        script: str = "",
        more: Sequence[str] = (),
        **settings: str,
    ) -> Child:
        """A processor with the example configuration; not waited for.

        ``settings`` are environment names without their prefix; ``script`` runs in place of the command.
        """
        arguments = ["serve", "--config", str(ROOT / "examples" / "standin.toml"), "--state", str(state)]
        arguments += ["--listen", "visa-like=127.0.0.1:0", "--hsm", f"{hsm[0]}:{hsm[1]}", *more]
        arguments += ["--deck", str(deck)] if deck else []
        environment = {"STANDIN_JOURNAL__SEGMENT_MIB": "1"}
        environment |= {f"STANDIN_{name}": value for name, value in settings.items()}
        start = [script] if script else ["-m", "processor.cli.main"]
        return self.child(*start, *arguments, **environment)

    def serving(self, state: Path, hsm: Child, deck: Path | None = None, **settings: str) -> Child:
        """A processor that listens and has its HSM."""
        child = self.processor(state, hsm.address, deck, **settings).ready()
        child.log.wait_for("hsm connected")
        return child

    def book_check(self, state: Path) -> dict[str, Any]:
        """What ``standin book check`` says of a state folder."""
        child = self.command("book", "check", "--state", str(state), "--json")
        code = child.ended()
        assert child.out.all(), child.log.all()
        found: dict[str, Any] = msgspec.json.decode(child.out.all()[0])
        assert code == (0 if found["balanced"] else 1)
        return found

    def end_all(self) -> None:
        """Kill what still runs."""
        for child in self._children:
            child.kill()


@contextmanager
def _launcher() -> Iterator[Launcher]:
    launcher = Launcher()
    try:
        yield launcher
    finally:
        launcher.end_all()


@pytest.fixture
def launch() -> Iterator[Launcher]:
    """Processes that live as long as the test."""
    with _launcher() as launcher:
        yield launcher


@pytest.fixture(scope="module")
def launch_for_module() -> Iterator[Launcher]:
    """Processes that live as long as the module's tests."""
    with _launcher() as launcher:
        yield launcher


@pytest.fixture(scope="session")
def hsm() -> Iterator[Child]:
    """An HSM emulator for every test that does not harm it."""
    with _launcher() as launcher:
        yield launcher.hsm()


class PuppetHsm:
    """An HSM that says that it is well (NC), and to every other command whatever ``reply`` makes of it.

    ``reply`` gets a frame (header and message) and gives bytes for the line; empty is silence. ``tls`` is the
    server's context, where the line is encrypted.
    """

    def __init__(
        self, server: socket.socket, reply: Callable[[bytes], bytes], tls: ssl.SSLContext | None = None
    ) -> None:
        self.address = server.getsockname()
        self.reply = reply
        self._server = server
        self._tls = tls
        self._lines: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """No line any more, and no new one."""
        for stream in (self._server, *self._lines):
            with suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)
            stream.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                stream, _ = self._server.accept()
                self._lines.append(stream)
                threading.Thread(target=self._converse, args=(stream,), daemon=True).start()

    def _converse(self, stream: socket.socket) -> None:
        framer = HsmFramer()
        with suppress(OSError):
            if self._tls is not None:
                stream = self._tls.wrap_socket(stream, server_side=True)
                self._lines.append(stream)
            while data := stream.recv(65_536):
                framer.receive(data)
                with suppress(FrameError):  # somebody speaks something else: silence is the answer to that
                    for frame in framer.frames():
                        stream.sendall(self._answer(frame))

    def _answer(self, frame: bytes) -> bytes:
        if frame[4:6] == b"NC":
            return frame_message(frame[:4], b"ND00" + TEST_LMK_CHECK_VALUE + b"0000-TEST")
        return self.reply(frame)


@pytest.fixture
def puppet_hsm() -> Iterator[Callable[..., PuppetHsm]]:
    """Starts HSMs that answer questions as they are told to."""
    with ExitStack() as stack:

        def start(reply: Callable[[bytes], bytes], tls: ssl.SSLContext | None = None) -> PuppetHsm:
            puppet = PuppetHsm(socket.create_server(("127.0.0.1", 0)), reply, tls)
            stack.callback(puppet.close)
            return puppet

        yield start


@pytest.fixture
def silent_hsm(puppet_hsm: Any) -> PuppetHsm:
    """A server that takes connections and bytes, and says that it is well and not a word more."""
    puppet: PuppetHsm = puppet_hsm(lambda _: b"")
    return puppet


class SwitchLink:
    """The switch's end of a connection, in plain blocking calls. Losing the connection is EOFError."""

    codec = PyisoCodec(DIALECTS["visa-like"])

    def __init__(self, stream: socket.socket) -> None:
        self.socket = stream
        self._framer = Framer(VISA_FRAME, 65_535)
        self._arrived: list[bytes] = []

    @classmethod
    def to(cls, address: tuple[str, int]) -> Self:
        """A link that we open."""
        return cls(socket.create_connection(address, PATIENCE_S))

    @classmethod
    def over(cls, stream: socket.socket) -> Self:
        """A link that the other side has opened."""
        stream.settimeout(PATIENCE_S)
        return cls(stream)

    def send(self, *messages: Message) -> None:
        """Send messages in one write."""
        self.send_bytes(b"".join(VISA_FRAME.frame(self.codec.encode(message)) for message in messages))

    def send_bytes(self, data: bytes) -> None:
        """Send anything."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            raise EOFError from None

    def receive_bytes(self) -> bytes:
        """The next frame, without its length."""
        while not self._arrived:
            try:
                data = self.socket.recv(65_536)
            except ConnectionResetError:
                raise EOFError from None
            if not data:
                raise EOFError
            self._framer.receive(data)
            self._arrived = self._framer.frames()
        return self._arrived.pop(0)

    def receive(self) -> Message:
        """The next message."""
        return self.codec.decode(self.receive_bytes())

    def ask(self, message: Message) -> Message:
        """Send a message and take the next one that comes."""
        self.send(message)
        return self.receive()

    def is_over(self) -> bool:
        """Whether the other side closes the link without another word."""
        try:
            self.receive_bytes()
        except EOFError:
            return True
        return False


@pytest.fixture(scope="session")
def switch_link() -> type[SwitchLink]:
    """For tests that make their links themselves."""
    return SwitchLink


@pytest.fixture(scope="session")
def configured() -> Callable[[Path, str, tuple[str, int]], list[str]]:
    """Arguments of ``standin`` that serve these links (TOML) with the example policy and keys."""

    def arguments(folder: Path, links: str, hsm: tuple[str, int]) -> list[str]:
        file, examples = folder / "standin.toml", ROOT / "examples"
        keys = f"keys = '{examples / 'keys.test.json'}'"
        file.write_text(f"policy = '{examples / 'stand-in.toml'}'\n{links}\n[hsm]\n{keys}\n")
        state, address = str(folder / "state"), f"{hsm[0]}:{hsm[1]}"
        return ["serve", "--config", str(file), "--state", state, "--hsm", address]

    return arguments


@pytest.fixture
def connect() -> Iterator[Callable[[Child], SwitchLink]]:
    """Opens links to a processor; they are closed with the test."""
    links: list[SwitchLink] = []

    def open_link(to: Child) -> SwitchLink:
        links.append(SwitchLink.to(to.address))
        return links[-1]

    yield open_link
    for link in links:
        link.socket.close()
