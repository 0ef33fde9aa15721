"""The HTTP port of one processor: routes, token, and the door by which commands find it."""

from processor.config import Config, parse_address
from processor.services.door import close_door, load_token, open_door
from processor.services.http.api import Views, make_app
from processor.services.http.port import HttpPort
from processor.services.log import Log
from processor.services.meters import Meters


class Front:
    """Opens the port, serves it, and closes the door behind it."""

    def __init__(self, config: Config, views: Views, meters: Meters, log: Log) -> None:
        self._state = config.state
        host, port = parse_address(config.http.address)
        app = make_app(views, load_token(config.state, create=True))
        self._port = HttpPort(app, host, port, config.http.connections_max, meters, log)

    @property
    def address(self) -> str:
        """``HOST:PORT`` once it is bound."""
        return self._port.address

    async def bind(self) -> None:
        """Open the port and say where it is. Errors: OSError."""
        try:
            await self._port.bind()
        except OSError as error:
            raise OSError(f"cannot listen on {self.address} for HTTP: {error.strerror or error}") from error
        open_door(self._state, self.address)

    async def run(self) -> None:
        """Serve until cancelled; no failure of the port gets out."""
        try:
            await self._port.run()
        finally:
            close_door(self._state)
