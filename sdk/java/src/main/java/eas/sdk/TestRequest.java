package eas.sdk;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/** A request for tests of processors; a POST that has five seconds, unless told otherwise. Immutable. */
public final class TestRequest implements Request {
    private static final long SECONDS = 1_000_000_000L;

    private final byte[] body;
    private final String method;
    private final String target;
    private final Map<String, String> headers;
    private final long deadline;
    private final boolean cancelled;

    private TestRequest(byte[] body, String method, String target, Map<String, String> headers, long deadline,
            boolean cancelled) {
        this.body = body;
        this.method = method;
        this.target = target;
        this.headers = headers;
        this.deadline = deadline;
        this.cancelled = cancelled;
    }

    /**
     * A request with a body.
     *
     * @param body the client's bytes
     * @return the request
     */
    public static TestRequest of(byte[] body) {
        return new TestRequest(body.clone(), "POST", "/", Collections.<String, String>emptyMap(),
                System.nanoTime() + 5 * SECONDS, false);
    }

    /**
     * A request with text as its body.
     *
     * @param body sent as UTF-8
     * @return the request
     */
    public static TestRequest of(String body) {
        return of(body.getBytes(StandardCharsets.UTF_8));
    }

    /**
     * The same request with another method and URL.
     *
     * @param method see {@link Request#method}
     * @param target path, and query behind a {@code ?}
     * @return a copy
     */
    public TestRequest to(String method, String target) {
        return new TestRequest(body, method, target, headers, deadline, cancelled);
    }

    /**
     * The same request with one more header field.
     *
     * @param name in any case
     * @param value its value; replaces an older one
     * @return a copy
     */
    public TestRequest with(String name, String value) {
        Map<String, String> more = new TreeMap<>(headers);
        more.put(name.toLowerCase(Locale.ROOT), value);
        return new TestRequest(body, method, target, Collections.unmodifiableMap(more), deadline, cancelled);
    }

    /**
     * The same request with another deadline.
     *
     * @param seconds from now
     * @return a copy
     */
    public TestRequest within(double seconds) {
        long end = System.nanoTime() + (long) (seconds * SECONDS);
        return new TestRequest(body, method, target, headers, end, cancelled);
    }

    /**
     * The same request when nobody waits for it any more.
     *
     * @return a copy
     */
    public TestRequest abandoned() {
        return new TestRequest(body, method, target, headers, deadline, true);
    }

    @Override
    public ByteBuffer body() {
        return ByteBuffer.wrap(body).asReadOnlyBuffer();
    }

    @Override
    public byte[] bytes() {
        return body.clone();
    }

    @Override
    public String text() {
        return new String(body, StandardCharsets.UTF_8);
    }

    @Override
    public String method() {
        return method;
    }

    @Override
    public String path() {
        return target.split("\\?", 2)[0];
    }

    @Override
    public String query() {
        int mark = target.indexOf('?');
        return mark < 0 ? "" : target.substring(mark + 1);
    }

    @Override
    public Map<String, String> headers() {
        return headers;
    }

    @Override
    public String header(String name) {
        return headers.get(name.toLowerCase(Locale.ROOT));
    }

    @Override
    public String requestId() {
        return headers.getOrDefault("x-request-id", "test-0001");
    }

    @Override
    public long deadlineNanos() {
        return deadline;
    }

    @Override
    public boolean cancelled() {
        return cancelled;
    }
}
