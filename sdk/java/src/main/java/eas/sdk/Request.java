package eas.sdk;

import java.nio.ByteBuffer;
import java.util.Map;

/**
 * One HTTP request. Made by the engine; {@link TestRequest} makes them for tests.
 *
 * <p>A request is valid during the call that got it. Afterwards the engine reuses the memory of a large body, and
 * {@link #cancelled} may speak about somebody else: keep {@link #bytes}, not the request.
 */
public interface Request {

    /**
     * The body where it lies, without a copy.
     *
     * @return a read-only buffer from position 0 to the body's size, big-endian as all new buffers; each call returns
     *     another one over the same bytes. A body of 256 KiB or more lies in shared memory (a direct buffer)
     */
    ByteBuffer body();

    /**
     * The body as an array of its own.
     *
     * @return a new array with the client's bytes, unchanged; empty for GET and HEAD
     */
    byte[] bytes();

    /**
     * The body as text.
     *
     * @return the body decoded as UTF-8
     */
    String text();

    /**
     * The method.
     *
     * @return {@code POST}, {@code GET} or {@code HEAD}
     */
    String method();

    /**
     * The path of the URL.
     *
     * @return {@code /api/predict/<name>[/suffix]}, percent-encoded as the client sent it
     */
    String path();

    /**
     * The query of the URL.
     *
     * @return what follows the {@code ?}, percent-encoded, without the {@code ?}; empty without one
     */
    String query();

    /**
     * The header fields.
     *
     * @return unmodifiable; names in lower case, repeated fields joined by a comma and a space
     */
    Map<String, String> headers();

    /**
     * One header field.
     *
     * @param name in any case
     * @return its value, or {@code null} when the client didn't send it
     */
    String header(String name);

    /**
     * The id that the answer's {@code X-Request-Id} and the engine's log show.
     *
     * @return the client's {@code X-Request-Id} if it is 1 to 128 visible ASCII characters, else one made here
     */
    String requestId();

    /**
     * When the engine answers 408 by itself.
     *
     * @return an instant of {@link System#nanoTime}; compare it by subtraction
     */
    long deadlineNanos();

    /**
     * The time until the deadline.
     *
     * @return nanoseconds; negative when it is over
     */
    default long remainingNanos() {
        return deadlineNanos() - System.nanoTime();
    }

    /**
     * Whether nobody waits for the answer any more (the client left, or was answered 408).
     *
     * <p>Cheap; long computations may look at it now and then and give up by throwing anything.
     *
     * @return whether the answer is of no use
     */
    boolean cancelled();
}
