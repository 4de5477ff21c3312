package eas.host;

import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.Set;

/** Stacks as text. */
public final class Stacks {
    private static final int FRAMES = 50; // of each stack
    private static final int LONGEST = 256 * 1024; // characters, after which causes are only named

    private Stacks() {}

    /**
     * Where it came from, with its causes, as {@code printStackTrace} prints it but bounded: messages are cut, and
     * so are stacks, for that of a {@code StackOverflowError} is a thousand times the same line.
     *
     * @param thrown an exception
     * @return a text for the log
     */
    public static String of(Throwable thrown) {
        StringBuilder text = new StringBuilder();
        Set<Throwable> seen = Collections.newSetFromMap(new IdentityHashMap<>());
        try {
            print(text, thrown, "", "", new StackTraceElement[0], seen);
        } catch (Throwable broken) { // getCause is the processor's code
            text.append("the rest can't be printed: ").append(broken.getClass().getName()).append('\n');
        }
        return whole(text.toString());
    }

    private static void print(
            StringBuilder text,
            Throwable thrown,
            String indent,
            String caption,
            StackTraceElement[] around,
            Set<Throwable> seen) {
        text.append(indent).append(caption);
        if (!seen.add(thrown) || text.length() > LONGEST) {
            text.append("... ").append(thrown.getClass().getName()).append('\n');
            return;
        }
        text.append(title(thrown)).append('\n');
        StackTraceElement[] stack = thrown.getStackTrace();
        int own = Math.min(stack.length - common(stack, around), FRAMES);
        for (int at = 0; at < own; at++) {
            text.append(indent).append("\tat ").append(stack[at]).append('\n');
        }
        if (own < stack.length) {
            text.append(indent).append("\t... ").append(stack.length - own).append(" more\n");
        }
        for (Throwable one : thrown.getSuppressed()) {
            print(text, one, indent + "\t", "Suppressed: ", stack, seen);
        }
        if (thrown.getCause() != null) {
            print(text, thrown.getCause(), indent, "Caused by: ", stack, seen);
        }
    }

    /** How many frames at the end of both are the same. */
    private static int common(StackTraceElement[] stack, StackTraceElement[] around) {
        int same = 0;
        while (same < stack.length
                && same < around.length
                && stack[stack.length - 1 - same].equals(around[around.length - 1 - same])) {
            same++;
        }
        return same;
    }

    private static String title(Throwable thrown) {
        try {
            return Lane.cut(thrown.toString());
        } catch (Throwable broken) { // its toString is the processor's code
            return thrown.getClass().getName() + ", which can't be printed: " + broken.getClass().getName();
        }
    }

    /**
     * What it says in one line, with the name of its class.
     *
     * @param thrown an exception
     * @return as {@code java.io.IOException: disk full}
     */
    public static String line(Throwable thrown) {
        String name = thrown.getClass().getName();
        String said = Lane.message(thrown);
        return said.equals(name) ? name : whole(name + ": " + said.split("\\R", 2)[0]);
    }

    /** The text with {@code ?} for each half of a surrogate pair that stands alone: Python couldn't decode it. */
    private static String whole(String text) {
        return new String(text.getBytes(StandardCharsets.UTF_8), StandardCharsets.UTF_8);
    }

    /**
     * What every thread of the JVM is doing.
     *
     * @return a text for the log
     */
    public static String all() {
        StringBuilder text = new StringBuilder();
        for (Map.Entry<Thread, StackTraceElement[]> one : Thread.getAllStackTraces().entrySet()) {
            Thread thread = one.getKey();
            text.append('"').append(thread.getName()).append("\" ").append(thread.getState());
            text.append(thread.isDaemon() ? " daemon\n" : "\n");
            for (StackTraceElement frame : one.getValue()) {
                text.append("    at ").append(frame).append('\n');
            }
        }
        return whole(text.toString());
    }
}
