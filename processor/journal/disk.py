"""Every system call of the journal. Tests put a disk here that tears, lies, fails and loses power."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path


class Disk:
    """The operating system's files. Errors are OSError; paths are made private (0600, 0700)."""

    def make_folder(self, folder: Path) -> None:
        """Make the folder and its parents, durably; nothing happens if it is there."""
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.fsync_dir(folder.parent)

    def names(self, folder: Path) -> list[str]:
        """The names in a folder, in no order; none if it does not exist."""
        try:
            return [path.name for path in folder.iterdir()]
        except FileNotFoundError:
            return []

    def read_file(self, path: Path) -> bytes | None:
        """A small file's bytes (at most 4096), or None if it does not exist."""
        try:
            fd = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            return os.read(fd, 4096)
        finally:
            os.close(fd)

    def identity(self, path: Path) -> tuple[int, ...] | None:
        """A value that is another one after the file was replaced or written; None if there is no file."""
        try:
            found = os.stat(path)  # noqa: PTH116 - on the hot path
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def open(self, path: Path) -> int:
        """Open a file that exists, for reading."""
        return os.open(path, os.O_RDONLY)

    def open_write(self, path: Path, *, create: bool = False) -> int:
        """Open for reading and writing; ``create`` makes the file or empties it."""
        return os.open(path, os.O_RDWR | (os.O_CREAT | os.O_TRUNC if create else 0), 0o600)

    def size(self, fd: int) -> int:
        """The file's size in bytes."""
        return os.fstat(fd).st_size

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        """Up to ``size`` bytes at ``offset``."""
        return os.pread(fd, size, offset)

    def pwrite(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        """Write at ``offset``; returns how many bytes went out."""
        return os.pwrite(fd, data, offset)

    def fdatasync(self, fd: int) -> None:
        """Return when the file's bytes, and the size they need, are durable."""
        os.fdatasync(fd)

    def close(self, fd: int) -> None:
        """Close; a lock on it is let go."""
        os.close(fd)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name, replacing what had it; durable after `fsync_dir`."""
        old.replace(new)

    def unlink(self, path: Path) -> None:
        """Remove a name if it exists."""
        with suppress(FileNotFoundError):
            path.unlink()

    def fsync_dir(self, folder: Path) -> None:
        """Return when the folder's names are durable."""
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def lock(self, path: Path) -> int | None:
        """Take the exclusive lock of a file that is made if needed; None while another holds it.

        The lock lives until the descriptor is closed or the process ends.
        """
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
        return fd


def write_all(disk: Disk, fd: int, data: bytes, offset: int) -> None:
    """Write every byte, however many calls it takes. Errors: OSError."""
    written = disk.pwrite(fd, data, offset)
    while written < len(data):
        more = disk.pwrite(fd, memoryview(data)[written:], offset + written)
        if more == 0:
            raise OSError(5, "the disk takes no more bytes")
        written += more
