package eas.host;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Says which Java a class needs, in the numbers that people know. */
final class Versions {
    private static final Pattern FOUND = Pattern.compile("class file version (\\d+)");
    private static final int FIRST = 44; // class files of Java 1 are of version 45

    private Versions() {}

    static String explain(String name, String said) {
        Matcher found = FOUND.matcher(String.valueOf(said));
        String running = "this is Java " + System.getProperty("java.version") + " ("
                + System.getProperty("java.home") + "); compile with --release, or set JAVA_HOME to a newer one";
        if (!found.find()) {
            return name + " is of a newer Java: " + said + "; " + running;
        }
        return name + " needs Java " + (Integer.parseInt(found.group(1)) - FIRST) + ", and " + running;
    }
}
