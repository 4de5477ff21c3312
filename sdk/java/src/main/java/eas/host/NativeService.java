package eas.host;

import eas.sdk.BatchProcessor;
import eas.sdk.Processor;
import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Modifier;
import java.nio.ByteBuffer;

/** A {@link Processor}. */
final class NativeService extends Service {
    private final Processor processor;
    private final String modelEntry;
    private final String modelConfig;

    NativeService(Class<?> type, String modelEntry, String modelConfig) throws Throwable {
        this.modelEntry = modelEntry;
        this.modelConfig = modelConfig;
        if (type.isInterface() || Modifier.isAbstract(type.getModifiers())) {
            throw new Unusable(type.getName() + " is abstract: no object can be made of it");
        }
        try {
            Constructor<?> constructor = type.getDeclaredConstructor();
            constructor.setAccessible(true);
            processor = (Processor) constructor.newInstance();
        } catch (NoSuchMethodException missing) {
            throw new Unusable("class " + type.getName() + " has no constructor " + type.getSimpleName() + "()"
                    + "; a processor that implements eas.sdk.Processor gets its model in initialize()");
        } catch (InvocationTargetException wrapped) {
            throw wrapped.getCause();
        }
    }

    @Override
    public String kind() {
        return "native";
    }

    @Override
    public boolean batches() {
        return processor instanceof BatchProcessor;
    }

    @Override
    public void load() throws Throwable {
        processor.initialize(modelEntry, modelConfig);
    }

    @Override
    Lane open(ByteBuffer memory, ByteBuffer flags) {
        return batches()
                ? new BatchLane(memory, flags, (BatchProcessor) processor)
                : new NativeLane(memory, flags, processor);
    }

    @Override
    ClassLoader loader() {
        return processor.getClass().getClassLoader();
    }

    @Override
    public void close() throws Throwable {
        processor.close();
    }
}
