package eas.host;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/** The way into a class of the older contract. A request is the bytes before the body, the body's size, those bytes, and the body. */
final class PlainLane extends Lane {
    private static final byte[] NOTHING = {};

    private final Object processor;
    private final Method process;

    PlainLane(ByteBuffer memory, Object processor, Method process) {
        super(memory);
        this.processor = processor;
        this.process = process;
    }

    @Override
    void call(ByteBuffer elsewhere) throws Throwable {
        int skip = memory.getInt();
        int size = memory.getInt();
        if (elsewhere == null) {
            memory.position(memory.position() + skip);
        }
        byte[] body = read(size, elsewhere);
        Object result;
        try {
            result = process.invoke(processor, (Object) body);
        } catch (InvocationTargetException wrapped) {
            throw wrapped.getCause();
        }
        if (result instanceof byte[]) {
            answer((byte[]) result);
        } else if (result == null) {
            answer(NOTHING);
        } else {
            answer(((String) result).getBytes(StandardCharsets.UTF_8));
        }
    }
}
