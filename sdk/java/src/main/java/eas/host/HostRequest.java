package eas.host;

import eas.sdk.Request;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/** A request that a client sent. Its head is parsed when a field of it is first asked for. */
final class HostRequest implements Request {
    private static final int LONGEST_ID = 128;
    private static volatile boolean barrier; // never written: reading it keeps `cancelled` from leaving a loop

    private final ByteBuffer body;
    private final byte[] raw;
    private final String made;
    private final long deadline;
    private final ByteBuffer flags;
    private final int slot;
    private Head head;

    HostRequest(ByteBuffer body, byte[] raw, String made, long deadline, ByteBuffer flags, int slot) {
        this.body = body;
        this.raw = raw;
        this.made = made;
        this.deadline = deadline;
        this.flags = flags;
        this.slot = slot;
    }

    @Override
    public ByteBuffer body() {
        return body.asReadOnlyBuffer();
    }

    @Override
    public byte[] bytes() {
        byte[] bytes = new byte[body.remaining()];
        body.duplicate().get(bytes);
        return bytes;
    }

    @Override
    public String text() {
        return StandardCharsets.UTF_8.decode(body()).toString();
    }

    @Override
    public String method() {
        return head().method;
    }

    @Override
    public String path() {
        return head().path;
    }

    @Override
    public String query() {
        return head().query;
    }

    @Override
    public Map<String, String> headers() {
        return head().fields;
    }

    @Override
    public String header(String name) {
        return head().fields.get(name.toLowerCase(Locale.ROOT));
    }

    @Override
    public String requestId() {
        String given = head().fields.getOrDefault("x-request-id", "");
        boolean good = !given.isEmpty() && given.length() <= LONGEST_ID
                && given.chars().allMatch(c -> c > ' ' && c < 0x7f);
        return good ? given : made;
    }

    @Override
    public long deadlineNanos() {
        return deadline;
    }

    @Override
    public boolean cancelled() {
        return barrier | flags.get(slot) != 0;
    }

    @Override
    public String toString() {
        return "Request(" + method() + " " + path() + ", " + body.remaining() + " bytes)";
    }

    /** Parsed once. Two threads that race here do the same work twice, nothing worse. */
    private Head head() {
        Head parsed = head;
        if (parsed == null) {
            parsed = new Head(new String(raw, StandardCharsets.ISO_8859_1));
            head = parsed;
        }
        return parsed;
    }

    /** Request line and header lines that the gateway has already found to be valid HTTP/1.1. */
    private static final class Head {
        private final String method;
        private final String path;
        private final String query;
        private final Map<String, String> fields;

        private Head(String text) {
            String[] lines = text.split("\r\n");
            String[] words = lines[0].split(" ");
            String target = originForm(words.length > 1 ? words[1] : "");
            int mark = target.indexOf('?');
            method = words[0];
            path = mark < 0 ? target : target.substring(0, mark);
            query = mark < 0 ? "" : target.substring(mark + 1);
            Map<String, String> found = new LinkedHashMap<>();
            for (int i = 1; i < lines.length; i++) {
                int colon = lines[i].indexOf(':');
                if (colon >= 0) {
                    String name = lines[i].substring(0, colon).toLowerCase(Locale.ROOT);
                    found.merge(name, lines[i].substring(colon + 1).trim(), (old, next) -> old + ", " + next);
                }
            }
            fields = Collections.unmodifiableMap(found);
        }

        /** The target without scheme and authority (absolute-form, RFC 9112 section 3.2.2). */
        private static String originForm(String target) {
            int scheme = target.indexOf("://");
            if (target.startsWith("/") || scheme < 0) {
                return target;
            }
            String rest = target.substring(scheme + 3);
            int cut = 0;
            while (cut < rest.length() && rest.charAt(cut) != '/' && rest.charAt(cut) != '?') {
                cut++;
            }
            String path = rest.substring(cut);
            return path.startsWith("/") ? path : "/" + path;
        }
    }
}
