package eas.host;

import eas.sdk.Processor;
import java.nio.ByteBuffer;

/** One processor, made and not loaded yet. */
public abstract class Service {

    /**
     * Finds the class and makes its object.
     *
     * @param name the class, {@code processor_mainclass}
     * @param modelEntry what its constructor, or {@code initialize}, gets
     * @param modelConfig as well
     * @return the processor, of either kind
     * @throws Unusable when the class isn't one that can serve
     * @throws Throwable what the class's own code throws
     */
    public static Service make(String name, String modelEntry, String modelConfig) throws Throwable {
        Class<?> type = find(name.trim());
        Thread.currentThread().setContextClassLoader(type.getClassLoader());
        return Processor.class.isAssignableFrom(type)
                ? new NativeService(type, modelEntry, modelConfig)
                : new PlainService(type, modelEntry, modelConfig);
    }

    private static Class<?> find(String name) throws Unusable {
        try {
            return Class.forName(name, true, ClassLoader.getSystemClassLoader());
        } catch (ClassNotFoundException missing) {
            throw new Unusable("there is no class " + name + " on the class path");
        } catch (UnsupportedClassVersionError newer) {
            throw new Unusable(Versions.explain(name, newer.getMessage()));
        } catch (NoClassDefFoundError misspelt) { // as com.x.y for com.x.Y on a file system that ignores case
            throw new Unusable(name + " can't be loaded: " + misspelt.getMessage());
        } catch (ClassFormatError broken) {
            throw new Unusable(name + " can't be loaded: " + broken.getMessage());
        }
    }

    /**
     * The contract that the class follows.
     *
     * @return {@code plain} or {@code native}
     */
    public abstract String kind();

    /**
     * Whether it can answer several requests together.
     *
     * @return whether it has a batch call
     */
    public abstract boolean batches();

    /**
     * Makes it ready to serve.
     *
     * @throws Throwable what it throws
     */
    public abstract void load() throws Throwable;

    /**
     * A way into it for the calling thread.
     *
     * @param memory seen by both sides; its size is the largest message
     * @param flags one byte a slot, not 0 = cancelled
     * @param thread the name that the calling thread shall have in Java
     * @return its lane; no other thread may use it
     */
    public final Lane lane(ByteBuffer memory, ByteBuffer flags, String thread) {
        Thread.currentThread().setName(thread);
        Thread.currentThread().setContextClassLoader(loader());
        return open(memory, flags);
    }

    abstract Lane open(ByteBuffer memory, ByteBuffer flags);

    abstract ClassLoader loader();

    /**
     * Ends it; no call is running.
     *
     * @throws Throwable what it throws
     */
    public abstract void close() throws Throwable;
}
