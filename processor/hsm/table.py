"""The host commands, one row each; the client's encoder and the emulator's parser both come from the row.

Layouts follow public implementations, named in each row; published request and response pairs pin them.
"""

from processor.hsm.tables import cards, chip, data, dukpt, keys, pin_checks, pins, status
from processor.hsm.tables.row import Command

_GROUPS = (status, keys, cards, pins, pin_checks, dukpt, chip, data)

COMMANDS: dict[str, Command] = {
    command.code: command
    for command in sorted((row for group in _GROUPS for row in group.ROWS), key=lambda row: row.code)
}
"""Every command by its code."""
