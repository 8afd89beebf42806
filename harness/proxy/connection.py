"""A client and an upstream joined by two pipes, one per direction, each of which ends by itself.

Without a stage, what was received goes straight from the loop's shared buffer to the other socket; what the other
socket won't take is queued, and the reading stops while more than a bound is queued or held in stages. A reset is
passed on as a reset, behind the bytes that came before it.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from harness.proxy.address import Address
from harness.proxy.loop import GONE, READ, WRITE, Loop, Timer
from harness.proxy.stage import Item, Mark, Owner, Stage

if TYPE_CHECKING:
    from harness.proxy.link import Link

RECV_BYTES = 1 << 20
"""What a turn moves when nobody else wants one: the fewer system calls, the better."""
RECV_BYTES_BESIDE = 1 << 18
"""... and when somebody may come for whom this turn's end is soon enough."""
PENDING_BYTES_MAX = 2 << 20
BULK_BYTES_MIN = 128 << 10
"""Who gives so much in one read moves in bulk ..."""
SMALL_BYTES_MAX = 16 << 10
"""... until a read gives no more than this."""
RESET_ON_CLOSE = struct.pack("ii", 1, 0)

_BUFFER = bytearray(RECV_BYTES)
_VIEW = memoryview(_BUFFER)


class Flow:
    """What passed a link in one direction, over all its connections: bytes read, and bytes that the system took."""

    __slots__ = ("received", "sent")

    def __init__(self) -> None:
        self.received = 0
        self.sent = 0


class Pipe:
    """One direction: reads `source`, passes the stages, writes `target`."""

    __slots__ = (
        "_head",
        "bulk",
        "connection",
        "ended",
        "finished",
        "flow",
        "queue",
        "queued",
        "source",
        "stages",
        "tail",
        "target",
    )

    def __init__(self, connection: Connection, source: socket.socket, target: socket.socket, flow: Flow) -> None:
        self.connection = connection
        self.flow = flow
        self.source = source
        self.target = target
        self.stages: list[tuple[Owner, Stage]] = []
        self._head: Callable[[Item], None] | None = None
        self.queue: deque[bytes] = deque()
        self.queued = 0
        self.bulk = False
        self.ended = False  # nothing more will be read
        self.tail: Mark | None = None  # how it ended, once that has passed the stages
        self.finished = False  # ... and has been told to the target

    # what stages may use

    @property
    def ordinal(self) -> int:
        return self.connection.ordinal

    @property
    def fresh(self) -> bool:
        return self.connection.fresh

    def now_ns(self) -> int:
        return self.connection.loop.now_ns

    def wake_at(self, due_ns: int, call: Callable[[], None]) -> Timer:
        def wake() -> None:
            if not self.connection.closed:
                call()
                self.connection.refresh()

        return self.connection.loop.at(due_ns, wake)

    def close_connection(self) -> None:
        self.connection.close()

    def reset_connection(self) -> None:
        self.connection.abort()

    # the chain

    def set_chain(self, owners: Sequence[Owner]) -> None:
        """Keeps the stages of owners that stay, in the order given; those that go give on what they hold."""
        kept = {id(owner): stage for owner, stage in self.stages}
        wanted = [owner for owner in owners if owner.applies(self.ordinal)]
        staying = {id(owner) for owner in wanted}
        for owner, stage in self.stages:
            if id(owner) not in staying:
                stage.detach()  # into the stage behind it, which is still in place
        if self.connection.closed:
            return
        self.stages = [(owner, kept.get(id(owner)) or owner.stage(self)) for owner in wanted]
        sink: Callable[[Item], None] = self.deliver
        for _, stage in reversed(self.stages):
            stage.sink = sink
            sink = stage.feed
        self._head = sink if self.stages else None

    @property
    def wants_more(self) -> bool:
        if self.ended:
            return False
        if not self.stages:
            return self.queued < PENDING_BYTES_MAX
        held = self.queued
        for _, stage in self.stages:
            held += stage.held
        return held < PENDING_BYTES_MAX

    @property
    def drained(self) -> bool:
        return not self.queue and all(stage.held == 0 for _, stage in self.stages)

    # data

    def read(self) -> None:
        try:
            size = self.source.recv_into(_BUFFER, RECV_BYTES if self.connection.loop.alone else RECV_BYTES_BESIDE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._enter(Mark.RESET)
            return
        self.flow.received += size
        if (size >= BULK_BYTES_MIN) is not self.bulk:
            self._pace(size)
        if size == 0:
            self._enter(Mark.END)
        elif self._head is not None:
            self._head(bytes(_VIEW[:size]))
            self.connection.refresh()
        elif self.queue:
            self._enqueue(bytes(_VIEW[:size]))
            self.connection.refresh()
        elif not self._sent_all(size):
            self.connection.refresh()

    def _pace(self, size: int) -> None:
        """In bulk it waits for its turn behind whoever moves little."""
        if not self.bulk or size <= SMALL_BYTES_MAX:
            self.bulk = not self.bulk
            self.connection.refresh()

    def _sent_all(self, size: int) -> bool:
        """Without a copy, if the target takes it all."""
        try:
            sent = self.target.send(_VIEW[:size])
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self.lost()
            return True
        self.flow.sent += sent
        if sent < size:
            self._enqueue(bytes(_VIEW[sent:size]))
        return sent == size

    def _enter(self, mark: Mark) -> None:
        self.ended = True
        if self._head is not None:
            self._head(mark)
        else:
            self.deliver(mark)
        self.connection.refresh()

    def deliver(self, item: Item) -> None:
        """The end of the chain."""
        if self.connection.closed or self.finished:
            if item is Mark.CLOSE:
                self.connection.close()
            return
        if isinstance(item, Mark):
            self.tail = item
            if not self.queue:
                self._finish()
        else:
            self._enqueue(item)
            self.flush()

    def _enqueue(self, data: bytes) -> None:
        self.queue.append(data)
        self.queued += len(data)

    def flush(self) -> None:
        while self.queue:
            first = self.queue[0]
            try:
                sent = self.target.send(first)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self.lost()
                return
            self.queued -= sent
            self.flow.sent += sent
            if sent < len(first):
                self.queue[0] = first[sent:]
                return
            self.queue.popleft()
        if self.tail is not None and not self.finished:
            self._finish()

    def _finish(self) -> None:
        self.finished = True
        if self.tail is Mark.RESET:
            self.connection.abort()
            return
        if self.tail is Mark.CLOSE:
            self.connection.close()
            return
        if self.connection.close_if_done():
            return  # which tells the target as well
        try:
            self.target.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise

    def lost(self) -> None:
        """The target can't be written any more: what flows to it is dropped; what came from it is still delivered."""
        self.ended = self.finished = True
        self.queue.clear()
        self.queued = 0
        self.connection.peer_lost(self)


class Side:
    """One of the two sockets of a connection, as the loop sees it."""

    __slots__ = ("bulk", "connection", "mask", "reads", "sock", "writes")

    def __init__(self, connection: Connection, sock: socket.socket, reads: Pipe, writes: Pipe) -> None:
        self.connection = connection
        self.sock = sock
        self.reads = reads
        self.writes = writes
        self.mask = -1
        self.bulk = False

    def on_event(self, events: int) -> None:
        if events & WRITE:
            self.writes.flush()
            self.connection.refresh()
            if self.connection.closed:
                return
        if events & (READ | GONE):
            if self.reads.wants_more:
                self.reads.read()
            elif events & GONE:
                self._gone()

    def _gone(self) -> None:
        # Reported again and again while nobody reads: not watched until somebody does.
        self.connection.loop.forget(self.sock)
        self.mask = -1
        if self.reads.ended and not self.writes.finished:
            self.writes.lost()

    def refresh(self) -> None:
        mask = (READ if self.reads.wants_more else 0) | (WRITE if self.writes.queue else 0)
        bulk = self.reads.bulk or self.writes.bulk
        if (mask != self.mask or bulk is not self.bulk) and (mask or self.mask != -1):
            self.mask = mask
            self.bulk = bulk
            self.connection.loop.watch(self.sock, mask, self, bulk=bulk)

    def abandon(self) -> None:
        self.connection.abort()


class Connection:
    """Both pipes and both sockets. `ordinal` numbers the connections of a link from 0."""

    __slots__ = ("_client", "_upstream", "closed", "down", "fresh", "link", "loop", "ordinal", "own", "up")

    def __init__(
        self, link: Link, client: socket.socket, upstream: socket.socket, ordinal: int, own: Address | None = None
    ) -> None:
        self.link = link
        self.loop: Loop = link.loop
        self.ordinal = ordinal
        self.own = own  # where from, if it may lead to this process itself
        self.closed = False
        self.up = Pipe(self, client, upstream, link.flows["upstream"])
        self.down = Pipe(self, upstream, client, link.flows["downstream"])
        self.fresh = True  # nothing has passed yet
        self._client = Side(self, client, self.up, self.down)
        self._upstream = Side(self, upstream, self.down, self.up)

    def start(self) -> None:
        """Both ends are connected: let it flow."""
        self.chain()
        self.fresh = False
        self.refresh()

    def chain(self) -> None:
        self.up.set_chain(self.link.owners("upstream"))
        if not self.closed:
            self.down.set_chain(self.link.owners("downstream"))

    def refresh(self) -> None:
        if not self.closed:
            self._client.refresh()
            self._upstream.refresh()

    def updated(self, owner: Owner) -> None:
        for pipe in (self.up, self.down):
            for owned, stage in list(pipe.stages):
                if owned is owner and not self.closed:
                    stage.updated()
        self.refresh()

    def close_if_done(self) -> bool:
        if self.up.finished and self.down.finished:
            self.close()
        return self.closed

    def peer_lost(self, to_peer: Pipe) -> None:
        from_peer = self.down if to_peer is self.up else self.up
        if from_peer.finished or (from_peer.ended and from_peer.tail is None and from_peer.drained):
            self.abort()
        elif from_peer.ended:
            from_peer.tail = Mark.RESET  # behind the bytes that are still queued
        # else: reading on will find the reset, behind what the peer had sent before

    def close(self) -> None:
        """Ends both directions now; what was queued and not yet sent is lost."""
        if self.closed:
            return
        self.closed = True
        for pipe in (self.up, self.down):
            for _, stage in pipe.stages:
                stage.close()
            pipe.queue.clear()
        for side in (self._client, self._upstream):
            self.loop.close(side.sock)
        self.link.closed(self)

    def abort(self) -> None:
        """As `close`, and both peers see a reset."""
        if self.closed:
            return
        for side in (self._client, self._upstream):
            side.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.close()
