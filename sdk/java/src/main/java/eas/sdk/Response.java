package eas.sdk;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;

/**
 * An answer: body, status and header fields. Immutable; {@link #withStatus withStatus} and
 * {@link #withHeader withHeader} return changed copies that share the body.
 *
 * <p>EAS clients treat only exactly 200 as success. 204 and 304 go without a body.
 */
public final class Response {
    private final ByteBuffer body;
    private final int status;
    private final List<String> headers; // name, value, name, value ...
    private final Throwable failure;

    private Response(ByteBuffer body, int status, List<String> headers, Throwable failure) {
        this.body = body;
        this.status = status;
        this.headers = headers;
        this.failure = failure;
    }

    /**
     * An answer with status 200.
     *
     * @param body sent as it is; not copied, so leave it unchanged
     * @return the answer
     */
    public static Response of(byte[] body) {
        return new Response(ByteBuffer.wrap(body), 200, Collections.<String>emptyList(), null);
    }

    /**
     * An answer with status 200.
     *
     * @param body from its position to its limit; not copied, so leave it unchanged
     * @return the answer
     */
    public static Response of(ByteBuffer body) {
        return new Response(body.slice(), 200, Collections.<String>emptyList(), null);
    }

    /**
     * An answer with status 200.
     *
     * @param body sent as UTF-8
     * @return the answer
     */
    public static Response of(String body) {
        return of(body.getBytes(StandardCharsets.UTF_8));
    }

    /**
     * The failure of one request of a batch, as if {@link Processor#process process} had thrown it for it alone.
     *
     * @param failure its message is the body of a 400; the stack trace goes to the log
     * @return an answer that stands for it
     */
    public static Response failed(Throwable failure) {
        Objects.requireNonNull(failure, "failure");
        return new Response(ByteBuffer.allocate(0), 400, Collections.<String>emptyList(), failure);
    }

    /**
     * The same answer with another status.
     *
     * @param status 200 to 599
     * @return a copy
     * @throws IllegalArgumentException when it is out of range
     */
    public Response withStatus(int status) {
        if (status < 200 || status > 599) {
            throw new IllegalArgumentException("a status is 200 to 599, not " + status);
        }
        return new Response(body, status, headers, failure);
    }

    /**
     * The same answer with one more header field; a name may repeat ({@code Set-Cookie}).
     *
     * <p>Fields that HTTP doesn't allow, and those that are the engine's own ({@code Content-Length},
     * {@code Connection}, {@code X-Request-Id} ...), fail the request with 400 when the answer is sent.
     *
     * @param name the field's name
     * @param value Latin-1 text
     * @return a copy
     * @throws IllegalArgumentException when one of them has a line break
     */
    public Response withHeader(String name, String value) {
        if ((name + value).chars().anyMatch(c -> c == '\r' || c == '\n')) {
            throw new IllegalArgumentException("a header field is one line: " + name);
        }
        List<String> more = new ArrayList<>(headers);
        more.add(name);
        more.add(value);
        return new Response(body, status, Collections.unmodifiableList(more), failure);
    }

    /**
     * The body.
     *
     * @return a read-only buffer from position 0 to the body's size
     */
    public ByteBuffer body() {
        return body.asReadOnlyBuffer();
    }

    /**
     * The status.
     *
     * @return 200 to 599
     */
    public int status() {
        return status;
    }

    /**
     * The header fields.
     *
     * @return name, value, name, value and so on, in the order in which they were added; unmodifiable
     */
    public List<String> headers() {
        return headers;
    }

    /**
     * Why the request fails.
     *
     * @return what {@link #failed failed} was given, else {@code null}
     */
    public Throwable failure() {
        return failure;
    }

    @Override
    public String toString() {
        return "Response(" + body.remaining() + " bytes, status " + status + ", headers " + headers + ")";
    }
}
