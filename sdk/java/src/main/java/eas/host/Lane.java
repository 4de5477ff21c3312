package eas.host;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * One thread's way into the processor: memory that both sides see, and {@link #run}.
 *
 * <p>The host writes a request to the beginning of the memory and calls {@code run}; when it returns, the answer lies
 * there. All numbers are 32 bits and in the machine's order (Python's side: {@code eas_host/adapters/java_lane.py}).
 * The answer is four numbers, and what they announce:
 *
 * <pre>
 * outcome     0 the body follows; 1 it is in take(), because it is too large; 2 the call failed, the message follows
 * status      200 to 599
 * size        bytes of what follows
 * fields      bytes of the header fields, name LF value LF ..., which follow the body
 * </pre>
 */
public abstract class Lane {
    private static final int HERE = 0;
    private static final int TAKE = 1;
    private static final int FAILED = 2;
    private static final int HEAD = 16; // bytes before what follows
    private static final int LONGEST_MESSAGE = 16 * 1024; // bytes

    final ByteBuffer memory;
    private byte[] large;
    private Throwable failure;

    Lane(ByteBuffer memory) {
        this.memory = memory.order(ByteOrder.nativeOrder());
    }

    /** Answers the request in the memory. */
    public final void run() {
        runWith(null);
    }

    /**
     * Answers a request whose body lies elsewhere.
     *
     * @param elsewhere the body, from 0 to its capacity; {@code null}: it is in the memory
     */
    public final void runWith(ByteBuffer elsewhere) {
        try {
            memory.clear();
            call(elsewhere);
        } catch (Throwable thrown) {
            fail(thrown);
        }
    }

    /** Reads the request, calls the processor, and answers. */
    abstract void call(ByteBuffer elsewhere) throws Throwable;

    /** The bytes of a body that is {@code size} bytes long. */
    final byte[] read(int size, ByteBuffer elsewhere) {
        byte[] bytes = new byte[size];
        (elsewhere == null ? memory : elsewhere.duplicate()).get(bytes);
        return bytes;
    }

    /** Answers with status 200. */
    final void answer(byte[] body) {
        memory.clear();
        if (body.length <= memory.capacity() - HEAD) {
            memory.putInt(HERE).putInt(200).putInt(body.length).putInt(0).put(body);
        } else {
            large = body;
            memory.putInt(TAKE).putInt(200).putInt(body.length).putInt(0);
        }
    }

    /** Answers with everything. */
    final void answer(int status, ByteBuffer body, byte[] fields) {
        memory.clear();
        int size = body.remaining();
        if (fields.length > memory.capacity() - HEAD) {
            throw new IllegalArgumentException("header fields of " + fields.length + " bytes");
        }
        if (size <= memory.capacity() - HEAD - fields.length) {
            memory.putInt(HERE).putInt(status).putInt(size).putInt(fields.length).put(body).put(fields);
        } else {
            large = new byte[size];
            body.get(large);
            memory.putInt(TAKE).putInt(status).putInt(size).putInt(fields.length).put(fields);
        }
    }

    /** Answers with a failure. */
    final void fail(Throwable thrown) {
        failure = thrown;
        byte[] message = message(thrown).getBytes(StandardCharsets.UTF_8);
        int size = Math.min(message.length, Math.min(LONGEST_MESSAGE, memory.capacity() - HEAD));
        memory.clear();
        memory.putInt(FAILED).putInt(400).putInt(size).putInt(0).put(message, 0, size);
    }

    /** What it says, or what it is when it says nothing. Its own code can't make it worse. */
    static String message(Throwable thrown) {
        try {
            String said = thrown.getMessage();
            return said == null || said.isEmpty() ? thrown.getClass().getName() : cut(said);
        } catch (Throwable broken) { // getMessage is the processor's code, too
            return thrown.getClass().getName();
        }
    }

    /** As much of a message as can be sent, and no less: it costs memory and time on its way to Python. */
    static String cut(String said) { // one character more, so that no pair is split within what is sent
        return said.length() <= LONGEST_MESSAGE ? said : said.substring(0, LONGEST_MESSAGE + 1);
    }

    /**
     * The body that was too large for the memory.
     *
     * @return it, once
     */
    public final byte[] take() {
        byte[] taken = large;
        large = null;
        return taken;
    }

    /**
     * The stack trace of the failure, with causes.
     *
     * @return it, once
     */
    public final String trace() {
        Throwable thrown = failure;
        failure = null;
        return Stacks.of(thrown);
    }
}
