package eas.host;

import eas.sdk.BatchProcessor;
import eas.sdk.Request;
import eas.sdk.Response;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/**
 * The way into a {@link BatchProcessor}, for single requests as well.
 *
 * <p>The host writes the requests of a batch into the memory one after the other, and adds each; {@link #runBatch} calls
 * the processor; then each {@link #next} puts the answer of one request into the memory, in their order.
 */
public final class BatchLane extends NativeLane {
    private static final byte[] NOTHING = {};

    private final BatchProcessor processor;
    private final List<Request> requests = new ArrayList<>();
    private Response[] answers = {};
    private int next;

    BatchLane(ByteBuffer memory, ByteBuffer flags, BatchProcessor processor) {
        super(memory, flags, processor);
        this.processor = processor;
    }

    /** Forgets what was added and wasn't run. */
    public void clear() {
        requests.clear();
    }

    /** Adds the request in the memory. */
    public void add() {
        addWith(null);
    }

    /**
     * Adds a request whose body lies elsewhere.
     *
     * @param elsewhere the body, from 0 to its capacity; {@code null}: it is in the memory
     */
    public void addWith(ByteBuffer elsewhere) {
        memory.clear();
        requests.add(request(elsewhere));
    }

    /** Calls the processor with what was added. In the memory is then an empty answer, or the batch's failure. */
    public void runBatch() {
        List<Request> given = Collections.unmodifiableList(Arrays.asList(requests.toArray(new Request[0])));
        requests.clear();
        try {
            List<Response> returned = processor.processBatch(given);
            Response[] copied = returned == null ? null : returned.toArray(new Response[0]);
            if (copied == null || copied.length != given.size()) {
                String found = copied == null ? "null" : copied.length + " answers";
                throw new IllegalStateException(
                        "processBatch() returned " + found + " for " + given.size() + " requests");
            }
            answers = copied;
            next = 0;
            answer(NOTHING);
        } catch (Throwable thrown) {
            fail(thrown);
        }
    }

    /** Puts the next answer, or the failure of that request alone, into the memory. */
    public void next() {
        Response response = answers[next];
        answers[next++] = null; // it may be large
        try {
            give(response, "processBatch()");
        } catch (Throwable thrown) {
            fail(thrown);
        }
    }
}
