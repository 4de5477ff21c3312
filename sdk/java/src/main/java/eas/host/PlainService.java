package eas.host;

import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.ByteBuffer;

/**
 * A class of the older contract: a constructor {@code (String modelEntry, String modelConfig)}, {@code void Load()},
 * {@code byte[] Process(byte[])} or {@code String Process(byte[])}. It implements nothing and needn't be public.
 */
final class PlainService extends Service {
    private final Object processor;
    private final Method load;
    private final Method process;

    PlainService(Class<?> type, String modelEntry, String modelConfig) throws Throwable {
        load = method(type, "Load", "void Load()");
        process = method(type, "Process", "byte[] Process(byte[])", byte[].class);
        Class<?> result = process.getReturnType();
        if (result != byte[].class && result != String.class) {
            throw new Unusable("class " + type.getName() + ": Process(byte[]) returns " + result.getSimpleName()
                    + "; expected byte[] or String");
        }
        processor = construct(constructor(type), modelEntry, modelConfig);
    }

    private static Constructor<?> constructor(Class<?> type) throws Unusable {
        if (type.isInterface() || Modifier.isAbstract(type.getModifiers())) {
            throw new Unusable(type.getName() + " is abstract: no object can be made of it");
        }
        try {
            Constructor<?> found = type.getDeclaredConstructor(String.class, String.class);
            found.setAccessible(true);
            return found;
        } catch (NoSuchMethodException missing) {
            throw new Unusable("class " + type.getName() + " has no constructor " + type.getSimpleName()
                    + "(String modelEntry, String modelConfig)");
        }
    }

    /** A method of the class or of one above it, whatever its access. */
    private static Method method(Class<?> type, String name, String expected, Class<?>... parameters)
            throws Unusable {
        for (Class<?> one = type; one != null; one = one.getSuperclass()) {
            try {
                Method found = one.getDeclaredMethod(name, parameters);
                found.setAccessible(true);
                return found;
            } catch (NoSuchMethodException above) {
                continue;
            }
        }
        throw new Unusable("class " + type.getName() + " has no " + expected + similar(type, name)
                + ", and it doesn't implement eas.sdk.Processor");
    }

    private static String similar(Class<?> type, String name) {
        for (Method one : type.getMethods()) {
            if (one.getName().equalsIgnoreCase(name)) {
                return " (there is " + one.toGenericString() + ")";
            }
        }
        return "";
    }

    private static Object construct(Constructor<?> constructor, Object... arguments) throws Throwable {
        try {
            return constructor.newInstance(arguments);
        } catch (InvocationTargetException wrapped) {
            throw wrapped.getCause();
        }
    }

    @Override
    public String kind() {
        return "plain";
    }

    @Override
    public boolean batches() {
        return false;
    }

    @Override
    public void load() throws Throwable {
        try {
            load.invoke(processor);
        } catch (InvocationTargetException wrapped) {
            throw wrapped.getCause();
        }
    }

    @Override
    Lane open(ByteBuffer memory, ByteBuffer flags) {
        return new PlainLane(memory, processor, process);
    }

    @Override
    ClassLoader loader() {
        return processor.getClass().getClassLoader();
    }

    @Override
    public void close() {
        // The contract has no such call.
    }
}
