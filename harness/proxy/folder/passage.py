"""Moving files from one directory to another such that a kill at any moment neither loses nor doubles one.

Within a file system a file that isn't to change is renamed across, which is one step. Any other goes through hidden
working directories, one beside each end:

1. `from/NAME` becomes `from/.mldrill-folder/taken/NAME`: it is ours, and the producer may use the name again.
2. Its copy grows in `to/.mldrill-folder-ID/NAME`, and is on the disk before the next step.
3. `taken/NAME` becomes `ready/NAME`: from here on the copy counts, not the original.
4. The copy becomes `to/NAME`.
5. `ready/NAME` is removed.

After a kill: what is in `ready` is finished by 4 if its copy is still there, else 4 was done, whatever the consumer has
made of the file since, and only 5 is left. What is in `taken` begins anew at 2. ID is drawn once for each `from`, so that
several may lead to the same `to`, and the copy is found wherever the directories are mounted. A lock, which goes with
its process, keeps two proxies from the same `from`.

As with a producer's own rename, a file of the same name in `to` is replaced.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

WORK = b".mldrill-folder"
_MODE = 0o700


class PassageError(Exception):
    """The directories can't be used; `args[0]` says why."""


class Passage:
    def __init__(self, source: bytes, target: bytes) -> None:
        self._source = source
        self._target = target
        self._work = os.path.join(source, WORK)
        self._taken = os.path.join(self._work, b"taken")
        self._ready = os.path.join(self._work, b"ready")
        self._copies = b""
        self._lock = -1

    def open(self) -> None:
        """Takes the lock and finishes what a killed process left. Raises PassageError or OSError."""
        for folder in (self._source, self._target):
            if not stat.S_ISDIR(os.stat(folder).st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), os.fsdecode(folder))
        if os.path.samefile(self._source, self._target):
            raise PassageError("'from' and 'to' are the same directory")
        for folder in (self._work, self._taken, self._ready):
            os.makedirs(folder, mode=_MODE, exist_ok=True)
        self._lock = os.open(os.path.join(self._work, b"lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._locked()
            self._recover()
        except BaseException:
            self.release()
            raise

    def _locked(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PassageError("another folder link, perhaps of another process, has this 'from'") from None
        drawn = os.pread(self._lock, 64, 0)
        if not drawn:
            drawn = os.urandom(8).hex().encode()
            os.pwrite(self._lock, drawn, 0)
        self._copies = os.path.join(self._target, WORK + b"-" + drawn)

    def _recover(self) -> None:
        ready = os.listdir(self._ready)
        if ready and not os.path.isdir(self._copies):
            raise PassageError(
                "a file was under way to another 'to' when a process was killed; start it with that first"
            )
        os.makedirs(self._copies, mode=_MODE, exist_ok=True)
        for name in ready:
            self._finish(name)
        for name in os.listdir(self._copies):
            os.unlink(self.copy(name))

    def leftovers(self) -> list[bytes]:
        """What was taken, by us or by a process before us, and isn't delivered."""
        return sorted(os.listdir(self._taken))

    def taken(self, name: bytes) -> bytes:
        return os.path.join(self._taken, name)

    def copy(self, name: bytes) -> bytes:
        return os.path.join(self._copies, name)

    def has(self, name: bytes) -> bool:
        """Whether it is still where it was dropped."""
        return os.path.lexists(os.path.join(self._source, name))

    def move(self, name: bytes) -> bool:
        """In one step, if both are on one file system."""
        try:
            os.rename(os.path.join(self._source, name), os.path.join(self._target, name))
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            return False
        return True

    def take(self, name: bytes) -> None:
        os.rename(os.path.join(self._source, name), self.taken(name))

    def deliver(self, name: bytes) -> None:
        """Once the copy is complete and on the disk."""
        os.rename(self.taken(name), os.path.join(self._ready, name))
        _sync(self._ready)
        self._finish(name)

    def _finish(self, name: bytes) -> None:
        if os.path.lexists(self.copy(name)):
            os.rename(self.copy(name), os.path.join(self._target, name))
            _sync(self._target)
        os.unlink(os.path.join(self._ready, name))

    def release(self) -> None:
        """Gives the lock back. The working directories stay, for who comes after."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def clear(self) -> None:
        """Removes the working directories, if they are empty, and gives the lock back."""
        if self._lock >= 0 and not self.leftovers() and not os.listdir(self._ready):
            for folder in (self._copies, self._taken, self._ready):
                os.rmdir(folder)
            os.unlink(os.path.join(self._work, b"lock"))
            os.rmdir(self._work)
        self.release()


def _sync(folder: bytes) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
