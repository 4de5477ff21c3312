package eas.host;

import eas.sdk.Processor;
import eas.sdk.Response;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * The way into a {@link Processor}. A request is: bytes of the body, of the head and of the id, the slot in the flags,
 * nanoseconds until the deadline (64 bits), and then body, head and id.
 */
class NativeLane extends Lane {
    private static final byte[] NO_FIELDS = {};

    private final ByteBuffer flags;
    private final Processor processor;

    NativeLane(ByteBuffer memory, ByteBuffer flags, Processor processor) {
        super(memory);
        this.flags = flags;
        this.processor = processor;
    }

    @Override
    void call(ByteBuffer elsewhere) throws Throwable {
        give(processor.process(request(elsewhere)), "process()");
    }

    /** The request in the memory. */
    final HostRequest request(ByteBuffer elsewhere) {
        int size = memory.getInt();
        byte[] head = new byte[memory.getInt()];
        byte[] id = new byte[memory.getInt()];
        int slot = memory.getInt();
        long deadline = System.nanoTime() + memory.getLong();
        ByteBuffer body = elsewhere == null ? ByteBuffer.wrap(read(size, null)) : elsewhere;
        memory.get(head).get(id);
        String made = new String(id, StandardCharsets.ISO_8859_1);
        return new HostRequest(body, head, made, deadline, flags, slot);
    }

    /** Answers with what the processor returned. */
    final void give(Response response, String from) throws Throwable {
        if (response == null) {
            throw new NullPointerException(from + " returned null; expected a Response");
        }
        if (response.failure() != null) {
            throw response.failure();
        }
        answer(response.status(), response.body(), encoded(response.headers()));
    }

    private static byte[] encoded(List<String> headers) {
        if (headers.isEmpty()) {
            return NO_FIELDS;
        }
        return String.join("\n", headers).getBytes(StandardCharsets.UTF_8);
    }
}
