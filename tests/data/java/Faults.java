import java.io.IOException;
import java.lang.reflect.Field;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.TimeUnit;
import sun.misc.Unsafe;

/**
 * Echoes, and misbehaves on demand: the Java counterpart of processors/eas_processors/faults.
 *
 * <p>The contract has no query, so every request says in its <em>body</em> what is to be done with it, written like a
 * query: {@code do=sleep&seconds=2}. A body that doesn't begin with {@code do=} is echoed. {@link #act} lists the
 * actions and what they take. {@code once=FILE} beside any action: the action happens only if FILE isn't there yet,
 * and leaves it behind; otherwise the body is echoed.
 *
 * <p>Environment (processor_envs of service.json), as for the Python processor: FAULTS_JOURNAL, a file that gets one
 * line of JSON for each call; FAULTS_AT_LOAD, an action while the class is initialised; FAULTS_AT_CONSTRUCT, in the
 * constructor; FAULTS_AT_INITIALIZE, in {@code Load()}; FAULTS_AT_EXIT, in a shutdown hook.
 */
public class Faults {
    private static final long LOOK = 2; // milliseconds between two looks at something outside this process
    private static final List<byte[]> LEAKED = new ArrayList<>();
    private static final Map<Integer, CyclicBarrier> MEETINGS = new ConcurrentHashMap<>();

    static {
        at("LOAD");
        Runtime.getRuntime().addShutdownHook(new Thread(() -> at("EXIT")));
    }

    public Faults(String modelEntry, String modelConfig) {
        System.out.println("model_entry='" + modelEntry + "' model_config='" + modelConfig + "'");
        at("CONSTRUCT");
    }

    public void Load() {
        at("INITIALIZE");
    }

    public byte[] Process(byte[] body) throws Exception {
        String text = new String(body, StandardCharsets.ISO_8859_1);
        journal("process", text);
        return respond(body, text);
    }

    private static byte[] respond(byte[] body, String text) throws Exception {
        if (!text.startsWith("do=")) {
            return body;
        }
        Map<String, String> told = parsed(text);
        return isDue(told) ? act(body, told) : body;
    }

    private static byte[] act(byte[] body, Map<String, String> told) throws Exception {
        String what = told.get("do");
        switch (what) {
            case "echo":
                break;
            case "pid":
                return bytes(Long.toString(ProcessHandle.current().pid()));
            case "null":
                return null;
            case "answer": // `size` bytes of `fill`
                byte[] made = new byte[(int) number(told, "size", 0)];
                java.util.Arrays.fill(made, (byte) told.getOrDefault("fill", "x").charAt(0));
                return made;
            case "property": // a system property
                return bytes(System.getProperty(told.get("name"), ""));
            case "environment":
                return bytes(String.valueOf(System.getenv(told.get("name"))));
            case "memory": // the largest heap, in bytes
                return bytes(Long.toString(Runtime.getRuntime().maxMemory()));
            case "thread": // name and context class loader
                Thread thread = Thread.currentThread();
                boolean ours = thread.getContextClassLoader() == Faults.class.getClassLoader();
                return bytes(thread.getName() + " " + thread.isDaemon() + " " + ours);
            case "print":
                System.out.println(told.get("text"));
                break;
            case "sleep":
                Thread.sleep((long) (number(told, "seconds", 1) * 1000));
                break;
            case "wait": // until `file` is there
                Path file = Paths.get(told.get("file"));
                while (!Files.exists(file)) {
                    Thread.sleep(LOOK);
                }
                break;
            case "spin":
                long until = System.nanoTime() + (long) (number(told, "seconds", 1) * 1e9);
                while (System.nanoTime() < until) {
                    Thread.onSpinWait();
                }
                break;
            case "meet": // until `parties` calls are in here at the same time
                int parties = (int) number(told, "parties", 2);
                MEETINGS.computeIfAbsent(parties, CyclicBarrier::new)
                        .await((long) number(told, "seconds", 30), TimeUnit.SECONDS);
                break;
            case "leak":
                byte[] kept = new byte[(int) number(told, "size", 1 << 20)];
                java.util.Arrays.fill(kept, (byte) 'x');
                LEAKED.add(kept);
                break;
            case "later": // answers, and does `then` after `seconds`, with nothing in here
                Thread later = new Thread(() -> {
                    try {
                        Thread.sleep((long) (number(told, "seconds", 1) * 1000));
                        fail(told.get("then"), told);
                    } catch (Exception error) {
                        throw new IllegalStateException(error);
                    }
                });
                later.setDaemon(true);
                later.start();
                break;
            case "background": // a thread that isn't a daemon and never ends
                new Thread(Faults::forever, "background").start();
                break;
            default:
                fail(what, told);
        }
        return body;
    }

    /** What throws, ends the process, or never ends. */
    private static void fail(String what, Map<String, String> told) throws Exception {
        switch (what) {
            case "throw": // with a cause
                Exception cause = new IOException("what lay beneath");
                throw new IllegalStateException(told.getOrDefault("message", "told to fail"), cause);
            case "throw_bare": // without a message
                throw new UnsupportedOperationException();
            case "overflow":
                overflow(1);
                break;
            case "exhaust": // the heap
                while (true) {
                    LEAKED.add(new byte[1 << 24]);
                }
            case "exit": // runs shutdown hooks
                System.exit((int) number(told, "code", 0));
                break;
            case "vanish": // without a word
                Runtime.getRuntime().halt((int) number(told, "code", 1));
                break;
            case "kill": // `signal` to the own process
                String name = told.getOrDefault("signal", "SIGKILL").substring(3);
                String pid = Long.toString(ProcessHandle.current().pid());
                new ProcessBuilder("kill", "-" + name, pid).start().waitFor();
                forever();
                break;
            case "segfault":
                unsafe().putInt(0, 1);
                break;
            case "hang":
                forever();
                break;
            default:
                throw new IllegalArgumentException("there is no action " + what);
        }
    }

    private static int overflow(int depth) {
        return overflow(depth + 1) + depth;
    }

    private static void forever() {
        while (true) {
            try {
                Thread.sleep(3_600_000);
            } catch (InterruptedException again) {
                continue;
            }
        }
    }

    private static Unsafe unsafe() throws ReflectiveOperationException {
        Field field = Unsafe.class.getDeclaredField("theUnsafe");
        field.setAccessible(true);
        return (Unsafe) field.get(null);
    }

    private static boolean isDue(Map<String, String> told) throws IOException {
        if (!told.containsKey("once")) {
            return true;
        }
        try {
            Files.createFile(Paths.get(told.get("once")));
            return true;
        } catch (FileAlreadyExistsException before) {
            return false;
        }
    }

    /** What the environment asks for at this moment of the processor's life. */
    private static void at(String moment) {
        journal(moment.toLowerCase(java.util.Locale.ROOT), "");
        String told = System.getenv("FAULTS_AT_" + moment);
        if (told != null && !told.isEmpty()) {
            try {
                respond(bytes(told), told);
            } catch (RuntimeException thrown) {
                throw thrown;
            } catch (Exception thrown) {
                throw new IllegalStateException(thrown);
            }
        }
    }

    /** One line into the journal, if there is one; whole, whoever else writes. */
    private static void journal(String event, String told) {
        String path = System.getenv("FAULTS_JOURNAL");
        if (path == null || path.isEmpty()) {
            return;
        }
        String query = told.substring(0, Math.min(200, told.length())).replaceAll("[^ -~]|[\"\\\\]", "?");
        String line = "{\"event\": \"" + event + "\", \"id\": \"\", \"pid\": " + ProcessHandle.current().pid()
                + ", \"query\": \"" + query + "\"}\n";
        try {
            Files.write(Paths.get(path), bytes(line), StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        } catch (IOException lost) {
            throw new IllegalStateException(lost);
        }
    }

    private static Map<String, String> parsed(String query) throws IOException {
        Map<String, String> found = new HashMap<>();
        for (String pair : query.trim().split("&")) {
            int cut = pair.indexOf('=') < 0 ? pair.length() : pair.indexOf('=');
            String value = cut < pair.length() ? pair.substring(cut + 1) : "";
            found.put(pair.substring(0, cut), URLDecoder.decode(value, "UTF-8"));
        }
        return found;
    }

    private static double number(Map<String, String> told, String name, double otherwise) {
        return told.containsKey(name) ? Double.parseDouble(told.get(name)) : otherwise;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
