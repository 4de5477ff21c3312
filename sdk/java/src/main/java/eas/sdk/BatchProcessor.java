package eas.sdk;

import java.util.Collections;
import java.util.List;

/** A processor that can answer several requests together; used so when {@code rpc.batching} is on. */
public interface BatchProcessor extends Processor {

    /**
     * Answers several requests. Called from several threads at the same time.
     *
     * <p>Whatever is thrown fails the request that is to blame, alone: as nobody knows which it is, this method is called
     * again with each half of the same requests, with each half of a half that throws, and so on. So the same request
     * may be seen several times, in smaller batches, and what a call has done before it threw is done again.
     *
     * @param requests 1 to {@code rpc.max_batch_size} requests, in the order in which they came; unmodifiable, and
     *     valid until this method returns
     * @return one answer per request, in the same order; one made by {@link Response#failed Response.failed} fails
     *     its request alone. A list of another length counts as an exception
     * @throws Exception whatever is thrown becomes status 400 of the request to blame, with its message; the stack
     *     trace goes to the log
     */
    List<Response> processBatch(List<Request> requests) throws Exception;

    /**
     * Answers one request as a batch of one.
     *
     * @param request the request
     * @return the only answer of the batch
     * @throws Exception what {@link #processBatch processBatch} throws; {@link IllegalStateException} when it didn't
     *     return one answer
     */
    @Override
    default Response process(Request request) throws Exception {
        List<Response> answers = processBatch(Collections.singletonList(request));
        if (answers == null || answers.size() != 1) {
            String found = answers == null ? "null" : answers.size() + " answers";
            throw new IllegalStateException("processBatch() returned " + found + " for 1 request");
        }
        return answers.get(0);
    }
}
