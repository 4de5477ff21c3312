package eas.host;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Map;

/** Stacks as text. */
public final class Stacks {
    private Stacks() {}

    /**
     * Where it came from, with its causes.
     *
     * @param thrown an exception
     * @return what {@code printStackTrace} prints
     */
    public static String of(Throwable thrown) {
        StringWriter text = new StringWriter();
        try {
            thrown.printStackTrace(new PrintWriter(text, true));
        } catch (Throwable broken) { // its toString is the processor's code
            text.write(thrown.getClass().getName() + ", which can't be printed: " + broken.getClass().getName() + "\n");
        }
        return text.toString();
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
        return said.equals(name) ? name : name + ": " + said.split("\\R", 2)[0];
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
        return text.toString();
    }
}
